/* Inside of the disk store: shared by its two files. */
#ifndef YUNDUO_HOST_DISK_DISK_STORE_INSIDE_H
#define YUNDUO_HOST_DISK_DISK_STORE_INSIDE_H

#include "base/effect.h"
#include "host/disk/disk_store.h"
#include "host/disk/qemu_img.h"

#include <pthread.h>

#define TMP_PREFIX ".tmp-"

struct disk_store {
    struct disk_store_config config;
    char *dir;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    const char *busy[64];           /* images on their way; each entry is its thread's own key */
    size_t n_busy;
};

/* File name of an image in the cache; null: it can't have one. */
const char *image_key(const struct server_image *image, struct arena *a);

#endif
