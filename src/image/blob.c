/*
 * What all blob stores share: the front of the tables, keys, and copying between stores.
 */
#include "image/blob.h"

#include <errno.h>

int blob_write(struct blob_writer *w, const void *data, size_t n)
{
    int r = n ? w->store->class->write(w, data, n) : 0;
    if (r == 0)
        w->written += n;
    return r;
}

int blob_finish(struct blob_writer *w, struct blob_info *ret)
{
    return w->store->class->finish(w, ret);
}

void blob_abort(struct blob_writer *w)
{
    if (w)
        w->store->class->abort(w);
}

uint64_t blob_written(const struct blob_writer *w)
{
    return w->written;
}

bool blob_key_valid(const char *key)
{
    if (!key || strlen(key) != BLOB_KEY_SIZE - 1)
        return false;
    return strspn(key, "0123456789abcdef") == BLOB_KEY_SIZE - 1;
}

#define COPY_PIECE ((size_t)1 << 20)

int blob_copy(struct blob_store *from, const char *key, struct blob_store *to, struct blob_info *ret)
{
    struct blob_reader reader = {};
    int r = blob_open(from, key, &reader);
    if (r != 0)
        return r;
    _cleanup_(blob_abortp) struct blob_writer *w = NULL;
    _cleanup_(freep) char *buf = malloc(COPY_PIECE);
    r = buf ? blob_begin(to, reader.size, &w) : -ENOMEM;
    for (uint64_t off = 0; r == 0 && off < reader.size;) {
        ssize_t n = blob_pread(&reader, buf, MIN((uint64_t)COPY_PIECE, reader.size - off), off);
        if (n <= 0) {
            r = n < 0 ? (int)n : -EIO;
            break;
        }
        r = blob_write(w, buf, (size_t)n);
        off += (uint64_t)n;
    }
    blob_close(&reader);
    struct blob_info info;
    if (r == 0)
        r = blob_finish(w, &info);
    if (r != 0)
        return r;
    if (strcmp(info.key, key) != 0) {
        blob_unpin(to, info.key);
        return -EBADMSG; /* the source no longer is what its name says */
    }
    *ret = info;
    return 0;
}
