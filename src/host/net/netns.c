/* Network namespaces; see netns.h. */
#include "host/net/netns.h"

#include "host/net/netlink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct call {
    int fd;
    int (*fn)(void *arg);
    void *arg;
    int result;
};

static void *call_thread(void *p)
{
    struct call *c = p;
    c->result = setns(c->fd, CLONE_NEWNET) < 0 ? -errno : c->fn(c->arg);
    return NULL;
}

int netns_call(int fd, int (*fn)(void *arg), void *arg)
{
    if (fd < 0)
        return fn(arg);
    struct call c = { fd, fn, arg, 0 };
    pthread_t thread;
    int r = pthread_create(&thread, NULL, call_thread, &c);
    if (r != 0)
        return -r;
    pthread_join(thread, NULL);
    return c.result;
}

static int path_of(const char *dir, const char *name, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/%s", dir, name);
    return n < 0 || (size_t)n >= size || strchr(name, '/') ? -ENAMETOOLONG : 0;
}

/* Mounts appear in other mount namespaces only when the directory is shared. */
static int share(const char *dir)
{
    if (mount("", dir, "none", MS_SHARED | MS_REC, NULL) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    if (mount(dir, dir, "none", MS_BIND | MS_REC, NULL) < 0 ||
        mount("", dir, "none", MS_SHARED | MS_REC, NULL) < 0)
        return -errno;
    return 0;
}

struct creation {
    const char *path;
};

static int create_inside(void *arg)
{
    const struct creation *c = arg;
    char self[64];
    if (unshare(CLONE_NEWNET) < 0)
        return -errno;
    snprintf(self, sizeof(self), "/proc/self/task/%d/ns/net", (int)gettid());
    if (mount(self, c->path, "none", MS_BIND, NULL) < 0)
        return -errno;
    _cleanup_(netlink_closep) struct netlink *n = NULL;
    int r = netlink_open(NETLINK_ROUTE, &n);
    return r < 0 ? r : link_change(n, 1, &(struct link_change){ .up = 1, .master = LINK_KEEP });
}

static void *create_thread(void *p)
{
    struct call *c = p;
    c->result = create_inside(c->arg);
    return NULL;
}

int netns_create(const char *dir, const char *name)
{
    char path[512];
    int r = path_of(dir, name, path, sizeof(path));
    if (r < 0)
        return r;
    _cleanup_(closep) int old = netns_open(dir, name);
    if (old >= 0)
        return 0;
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return -errno;
    r = share(dir);
    if (r < 0)
        return r;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd < 0)
        return -errno;
    struct creation creation = { path };
    struct call c = { .arg = &creation };
    pthread_t thread;
    r = pthread_create(&thread, NULL, create_thread, &c);
    if (r == 0) {
        pthread_join(thread, NULL);
        r = c.result;
    } else {
        r = -r;
    }
    if (r < 0)
        (void)netns_delete(dir, name);
    return r;
}

int netns_delete(const char *dir, const char *name)
{
    char path[512];
    int r = path_of(dir, name, path, sizeof(path));
    if (r < 0)
        return r;
    if (umount2(path, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return -errno;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int netns_list(const char *dir, const char *prefix, struct arena *a, struct strv *ret)
{
    *ret = (struct strv){ 0 };
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *e; (e = readdir(d));)
        if (str_starts(e->d_name, prefix))
            strv_add(a, ret, e->d_name);
    closedir(d);
    return arena_failed(a) ? -ENOMEM : 0;
}

int netns_open(const char *dir, const char *name)
{
    char path[512];
    struct stat st, self;
    int r = path_of(dir, name, path, sizeof(path));
    if (r < 0)
        return r;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* A plain file is what a crash between creating and mounting leaves. */
    if (fstat(fd, &st) < 0 || stat("/proc/self/ns/net", &self) < 0)
        return -errno;
    if (st.st_dev != self.st_dev)
        return -ENOENT;
    return TAKE_FD(fd);
}

ino_t netns_inode(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

int sysctl_set(const char *path, const char *value)
{
    char full[256], now[64];
    int n = snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
    if (n < 0 || (size_t)n >= sizeof(full))
        return -ENAMETOOLONG;
    _cleanup_(closep) int fd = open(full, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got = read(fd, now, sizeof(now) - 1);
    if (got > 0) {
        now[got] = 0;
        now[strcspn(now, "\n")] = 0;
        if (STREQ(now, value))
            return 0;
    }
    size_t len = strlen(value);
    return pwrite(fd, value, len, 0) == (ssize_t)len ? 1 : -errno;
}
