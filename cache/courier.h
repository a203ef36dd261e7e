/* cache/courier.h - transfers that bring flights, as memory allows. */
#ifndef DM_CACHE_COURIER_H
#define DM_CACHE_COURIER_H

struct fetch;

/*
 * Starts what is queued, first what somebody waits for, and gives the bytes
 * that come to their flights.  Any thread, unlocked.
 */
void courier_pump(struct fetch *f);

#endif
