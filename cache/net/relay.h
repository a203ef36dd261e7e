/* cache/net/relay.h - a transfer that goes from mirror to mirror. */
#ifndef DM_NET_RELAY_H
#define DM_NET_RELAY_H

struct origin;
struct origin_get;

/* origin_start for an immutable file of an origin that has mirrors. */
void relay_start(struct origin *o, const struct origin_get *get);

#endif
