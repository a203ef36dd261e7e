/* cache/net/net.h - the threads and queues behind origin_start. */
#ifndef DM_NET_NET_H
#define DM_NET_NET_H

#include <stdbool.h>

struct net;
struct net_options;
struct transfer;

/* Queue t for the threads; false if net is closing: t stays the caller's. */
bool net_submit(struct net *net, struct transfer *t);

/* All fields are set. */
const struct net_options *net_options(const struct net *net);

/* Whether long work should end. */
bool net_stopping(struct net *net);

#endif
