/*
 * What an image's bytes are, whatever its owner says.
 *
 * Bytes are fed as an upload passes; memory is bounded (half a MiB, whatever the size).
 * At the end stand: which formats the bytes can be taken for, the virtual size, and
 * whether a program that opens them could be led to other files of the host.
 *
 * The verdict is about bytes only. inspect_check() compares it with what was declared.
 */
#ifndef YUNDUO_IMAGE_INSPECT_H
#define YUNDUO_IMAGE_INSPECT_H

#include "base/error.h"

enum image_format {
    IMAGE_RAW, /* nothing known was found */
    IMAGE_GPT, /* a whole disk with a GUID partition table */
    IMAGE_MBR, /* a whole disk with a DOS partition table */
    IMAGE_QCOW2,
    IMAGE_VMDK,
    IMAGE_VDI,
    IMAGE_VHD,
    IMAGE_VHDX,
    IMAGE_ISO,
    IMAGE_TAR, /* what an OVA is */
    IMAGE_LUKS,
    IMAGE_OTHER, /* a format that QEMU would recognise and nobody should upload (qed, qcow 1, ...) */
    IMAGE_FORMATS_MAX
};

struct inspect_result {
    enum image_format format;
    uint32_t found; /* bit (1 << format) for each that the bytes can be taken for */
    bool safe;
    char reason[256];      /* if not safe: why, as a sentence's rest ("has a backing file") */
    uint64_t size;         /* bytes seen */
    uint64_t virtual_size; /* of the disk that a guest would see; 0 unknown */
    /* The disk in a tar: the first member that is one. disk_size is 0 when there is none. */
    enum image_format disk_format;
    uint64_t disk_offset, disk_size, disk_virtual_size;
    unsigned disks;
    char disk_name[101];
};

struct inspect;

/* Null without memory. */
struct inspect *inspect_new(void);
void inspect_free(struct inspect *i);
static inline void inspect_freep(struct inspect **i)
{
    inspect_free(*i);
}
void inspect_feed(struct inspect *i, const void *data, size_t n);
/* To be called once, after the last byte. -ENOMEM: memory ran out on the way. */
int inspect_finish(struct inspect *i, struct inspect_result *ret);

/* The same for an open file; reads only the places that matter. 0, or a negative errno. */
int inspect_fd(int fd, struct inspect_result *ret);

/* "qcow2", "gpt", ...; never null. */
const char *image_format_name(enum image_format f);
/* QEMU's name for the driver that reads it ("vpc" for vhd); raw for whole disks and ISOs. */
const char *image_format_driver(enum image_format f);

/*
 * Whether bytes with this verdict may be an image declared so. 'disk_format' and
 * 'container_format' are Glance's words, either may be null. With 'strict' the declared
 * format must be what was found; without, only what is unsafe or ambiguous is refused.
 * 0, or FAULT with a sentence for the client.
 */
int inspect_check(const struct inspect_result *r, const char *disk_format, const char *container_format,
                  bool strict, struct fault *fault);

#endif
