/*
 * qemu-img, held short: what an image is made into on import, and what QEMU sees in a file.
 *
 * The source is always opened with the format that the inspector found, never by guessing,
 * and without any backing file. The program gets limits on time, processor and address
 * space: a crafted file may at most make it fail.
 */
#ifndef YUNDUO_IMAGE_CONVERT_H
#define YUNDUO_IMAGE_CONVERT_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "image/inspect.h"

struct convert_limits {
    usec_t timeout;       /* 0: ten minutes to convert, half a minute for info */
    uint64_t memory;      /* address space in bytes; 0: 2 GiB, 1 GiB for info */
    unsigned cpu_seconds; /* 0: ten minutes, half a minute for info */
};

struct convert_source {
    const char *path;
    enum image_format format;
    uint64_t offset, size; /* a part of the file (the disk in an OVA); size 0: all of it */
};

struct convert_info {
    uint64_t virtual_size;
    const char *format;
    bool encrypted;
};

/* Writes a new file at 'path' in format "qcow2" or "raw"; after a failure there is none.
 * 0; FAULT (400: qemu-img will not have it or took too much; 413: no room). */
int convert_image(const struct convert_source *source, const char *format, const char *path,
                  const struct convert_limits *limits, struct fault *fault);
/* What QEMU says. 0; FAULT as above. */
int convert_inspect(const struct convert_source *source, const struct convert_limits *limits, struct arena *a,
                    struct convert_info *ret, struct fault *fault);

#endif
