/* cache/landing.h - how a flight ends. */
#ifndef DM_CACHE_LANDING_H
#define DM_CACHE_LANDING_H

struct codec;
struct dm_err;
struct flight;
struct pool_job;
struct transfer;

/* All are called unlocked, by the owner of the flight, who has it no more
 * afterwards. */

/* The run of flights' jobs: their bytes are complete.  They are proven, kept
 * and given to those who wait, or are lost. */
void landing_check(struct pool_job *list, struct codec *codec);

/* The flight did not bring what it should: fetch it again, alone, or fail. */
void landing_lost(struct flight *fl, const struct dm_err *err);

/* moved/ has come for the only flight of t. */
void landing_moved(struct transfer *t);

#endif
