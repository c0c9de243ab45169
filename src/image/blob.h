/*
 * Blob stores: where the bytes of images lie.
 *
 * A blob is named by the SHA-512 of its bytes, so equal uploads share one. Who uses a blob
 * is said by the image records and nowhere else: nothing here counts references. Removing
 * asks the caller, at the one moment when nobody can begin to use the blob: blob_collect().
 *
 * A store is a table of functions. The first is a local folder (blob_dir.c). Another kind
 * (Ceph RBD, the object service) fills the same table; one that cannot give a descriptor
 * answers reads by its 'pread' and nobody above notices but for the speed.
 *
 * All of it may be called from any thread. Calls block.
 */
#ifndef YUNDUO_IMAGE_BLOB_H
#define YUNDUO_IMAGE_BLOB_H

#include "base/clock.h"
#include "base/error.h"

#define BLOB_KEY_SIZE 129 /* SHA-512 in hex, with its NUL */
#define BLOB_MD5_SIZE 33

/* Outcomes that callers must handle. */
enum {
    BLOB_FULL = 1,    /* no room in the store; nothing is left of the write */
    BLOB_MISSING = 2, /* no such blob */
};

struct blob_info {
    char key[BLOB_KEY_SIZE];
    char md5[BLOB_MD5_SIZE];
    uint64_t size;
};

struct blob_store;
struct blob_writer;

/* An open blob. It stays readable when the blob is removed meanwhile. */
struct blob_reader {
    struct blob_store *store;
    uint64_t size;
    int fd; /* for sendfile and qemu-img, or -1: use blob_pread() */
    void *cookie;
};

struct blob_usage {
    uint64_t used, free, total; /* bytes; 0 unknown */
};

/* Whether an image record uses this key. Negative: could not be told, so nothing is removed. */
typedef int blob_used_fn(void *cookie, const char *key);

struct blob_class {
    const char *kind; /* "file", "rbd": what info/stores/detail says */

    /* Begins a blob. 'size_hint' is what is expected (0 unknown): BLOB_FULL may be told early. */
    int (*begin)(struct blob_store *s, uint64_t size_hint, struct blob_writer **ret);
    /* BLOB_FULL: the writer is good for blob_abort() only. */
    int (*write)(struct blob_writer *w, const void *data, size_t n);
    /* Makes it durable under its key, and pins it: until blob_unpin() it is not collected. */
    int (*finish)(struct blob_writer *w, struct blob_info *ret);
    /* Frees a writer; what was not finished leaves nothing. */
    void (*abort)(struct blob_writer *w);

    /* BLOB_MISSING: there is none. */
    int (*open)(struct blob_store *s, const char *key, struct blob_reader *ret);
    ssize_t (*pread)(struct blob_reader *r, void *buf, size_t n, uint64_t off);
    void (*close)(struct blob_reader *r);

    /* Keeps a blob from being collected while its record is not written yet. */
    void (*pin)(struct blob_store *s, const char *key);
    void (*unpin)(struct blob_store *s, const char *key);
    /* Removes it unless it is pinned or used; asks while no pin can be taken. Absent: 0. */
    int (*collect)(struct blob_store *s, const char *key, blob_used_fn *used, void *cookie);
    /* Removes what no record uses, when it is older than 'age', and what writers that died left.
     * 'ret_removed' may be null. */
    int (*sweep)(struct blob_store *s, usec_t age, blob_used_fn *used, void *cookie, unsigned *ret_removed);

    int (*usage)(struct blob_store *s, struct blob_usage *ret);
    /* The path of a blob for programs on this machine, or null where there is none. */
    const char *(*path)(struct blob_store *s, const char *key, struct arena *a);
    /* A path where a program may write a file, which adopt() then takes as a blob (pinned, as
     * finish() does) or the caller unlinks. Null entries where the store has no folder. */
    int (*scratch)(struct blob_store *s, struct arena *a, const char **ret_path);
    int (*adopt)(struct blob_store *s, const char *path, struct blob_info *ret);
    void (*free)(struct blob_store *s);
};

struct blob_store {
    const struct blob_class *class;
    const char *id; /* what clients call it: "local" */
    const char *description;
    bool read_only;
};

static inline int blob_begin(struct blob_store *s, uint64_t size_hint, struct blob_writer **ret)
{
    return s->class->begin(s, size_hint, ret);
}
int blob_write(struct blob_writer *w, const void *data, size_t n);
int blob_finish(struct blob_writer *w, struct blob_info *ret);
void blob_abort(struct blob_writer *w);
static inline void blob_abortp(struct blob_writer **w)
{
    blob_abort(*w);
}
/* What has been written so far. */
uint64_t blob_written(const struct blob_writer *w);

static inline int blob_open(struct blob_store *s, const char *key, struct blob_reader *ret)
{
    return s->class->open(s, key, ret);
}
static inline ssize_t blob_pread(struct blob_reader *r, void *buf, size_t n, uint64_t off)
{
    return r->store->class->pread(r, buf, n, off);
}
/* Accepts a zeroed reader. */
static inline void blob_close(struct blob_reader *r)
{
    if (r->store)
        r->store->class->close(r);
    r->store = NULL;
}
static inline void blob_pin(struct blob_store *s, const char *key)
{
    s->class->pin(s, key);
}
static inline void blob_unpin(struct blob_store *s, const char *key)
{
    s->class->unpin(s, key);
}
static inline int blob_collect(struct blob_store *s, const char *key, blob_used_fn *used, void *cookie)
{
    return s->class->collect(s, key, used, cookie);
}
static inline void blob_store_free(struct blob_store *s)
{
    if (s)
        s->class->free(s);
}
/* Copies a blob to another store of any kind and pins it there. BLOB_FULL, BLOB_MISSING. */
int blob_copy(struct blob_store *from, const char *key, struct blob_store *to, struct blob_info *ret);

/* A folder; it and its parts are made when they are not there. Strings are copied.
 * 'durable' false leaves out fsync, for tests. */
int blob_dir_new(const char *id, const char *path, const char *description, bool durable,
                 struct blob_store **ret);

/* Every writer begins with this; only stores look inside. */
struct blob_writer {
    struct blob_store *store;
    uint64_t written;
};

bool blob_key_valid(const char *key);

#endif
