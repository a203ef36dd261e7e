/* cache/net/folder.h - transfers from a folder. */
#ifndef DM_NET_FOLDER_H
#define DM_NET_FOLDER_H

#include "cache/base/attr.h"

struct dm_err;
struct net;
struct transfer;

/* Read what t asks for and give it to t's data.  Blocks; ends early with
 * DM_CANCELLED when net is closing. */
int folder_read(struct net *net, struct transfer *t,
    struct dm_err *err) DM_MUST_CHECK;

#endif
