/*
 * Network namespaces by name, as `ip netns` keeps them: a file in /run/netns with the
 * namespace mounted on it.
 *
 * A thread's namespace can be changed for good only, so whatever must happen inside one runs
 * on a thread of its own that ends afterwards.
 */
#ifndef YUNDUO_HOST_NET_NETNS_H
#define YUNDUO_HOST_NET_NETNS_H

#include "base/vec.h"

#include <sys/types.h>

/* Makes it with its loopback up. 0 also when it exists. */
int netns_create(const char *dir, const char *name);
/* Takes the name away; the namespace ends when nobody uses it any more. 0 also when it does
 * not exist. Processes inside are the caller's to end. */
int netns_delete(const char *dir, const char *name);
/* Names in 'dir' that begin with 'prefix'. */
int netns_list(const char *dir, const char *prefix, struct arena *a, struct strv *ret);
/* An open descriptor of it, or -ENOENT. */
int netns_open(const char *dir, const char *name);
/* The inode that identifies the namespace behind a descriptor, or 0. */
ino_t netns_inode(int fd);
/* Runs fn(arg) inside and returns its result. 'fd' negative: here, on this thread. */
int netns_call(int fd, int (*fn)(void *arg), void *arg);
/* Writes /proc/sys/net/PATH of this thread's namespace, unless it says so already; 1 when
 * something was written. */
int sysctl_set(const char *path, const char *value);

#endif
