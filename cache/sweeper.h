/* cache/sweeper.h - the thread that looks after those who wait. */
#ifndef DM_CACHE_SWEEPER_H
#define DM_CACHE_SWEEPER_H

/*
 * Of the fetch that arg is.  Ends waits whose deadline is over, says once of a
 * flight that its readers wait long, and watches what other processes fetch.
 * Woken by fetch->sooner; ends when fetch->stopping.
 */
void *sweeper_main(void *arg);

#endif
