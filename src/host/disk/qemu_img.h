/*
 * qemu-img, and plain files that hold disks.
 *
 * Images come from tenants, and a disk format is a program of sorts: a qcow2 may name any
 * file of this host as its backing file. So formats are always named, never guessed; what
 * refers to another file is refused; and qemu-img runs under limits of time and memory.
 */
#ifndef YUNDUO_HOST_DISK_QEMU_IMG_H
#define YUNDUO_HOST_DISK_QEMU_IMG_H

#include "base/clock.h"
#include "base/error.h"
#include "base/vec.h"

struct image_facts {
    const char *format;
    int64_t virtual_size;
    int64_t actual_size;
    const char *backing;            /* as written in the file, or null */
    bool refers;                    /* to any other file: backing, external data, extents */
    bool encrypted;
};

/* 'format' null: probed (only for files of our own making). Works while a guest has it
 * open. FAULT 400 ImageUnacceptable: not an image of that format. */
int qemu_img_info(const char *path, const char *format, struct arena *a, struct image_facts *ret,
                  struct fault *fault);

/* 'backing' null: empty. 'size' 0: that of the backing file. */
int qemu_img_create(const char *path, const char *format, int64_t size, const char *backing,
                    const char *backing_format, struct fault *fault);

/* Writes a flat copy. 'timeout' 0: four hours. 'compress' for qcow2 that travels. */
int qemu_img_convert(const char *from, const char *from_format, const char *to, const char *to_format,
                     bool compress, usec_t timeout, struct fault *fault);

/* Grows it. FAULT 409 DiskInUse: a guest has it open (then the hypervisor must do it). */
int qemu_img_grow(const char *path, const char *format, int64_t size, struct fault *fault);

/* Copies a file byte for byte: shared blocks where the file system can, else only what is
 * not a hole. The copy is on disk when this returns. */
int file_copy(const char *from, const char *to);
/* Makes an empty sparse file. */
int file_make(const char *path, int64_t size);
/* fsync of a file, and of the folder it is in, so that a rename stays. */
int file_sync(const char *path);
/* Bytes taken on disk; 0 where there is no file. */
int64_t file_usage(const char *path);
bool file_exists(const char *path);
/* mkdir with parents; what is there is fine. Parents that are missing can be passed through by all
 * (0711): emulators run as another user and reach their disks by path. */
int dir_make(const char *path, unsigned mode);
/* Removes a folder with the files in it (one level). Absent: done. */
int dir_remove(const char *path);
/* Names in a folder, without dot entries; an absent folder is empty. */
int dir_names(const char *path, struct arena *a, struct strv *ret);

/* 1 with 'fault' where 'name' can't be the name of a file of ours: empty, a slash, a dot
 * at the start, too long. */
int name_check(const char *name, struct fault *fault);

#endif
