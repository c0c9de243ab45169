/*
 * The inspector of image bytes.
 *
 * Model. Three windows are kept of what passes: the head (up to 512 KiB), the tail (three
 * sectors) and one region further in that a header points to (the metadata of a VHDX). All
 * that decides about a format lies there; where a header says that it lies elsewhere, the
 * image is called unsafe rather than believed. In a tar the members are followed as they
 * pass and each disk among them gets an inspector of its own.
 *
 * Why all formats are always looked for: a file can be two things at once (an ISO leaves
 * its first 32 KiB to anybody, a tar too), and what matters is what some program on some
 * host may take it for. So every format is tested, and more than one is refused.
 *
 * What a file can do to a host: make the program that opens it open other files. The ways
 * known are a qcow2's backing file and external data file, a VMDK's extents, parent hint
 * and text descriptor, a differencing VHD, VHDX or VDI, and the older formats with backing
 * files. Features that this code does not know are unsafe too: what they do is unknown.
 *
 * All numbers in headers are an enemy's: each offset is checked against the window before
 * use, by at(), and no size is added without a check.
 */
#include "image/inspect.h"

#include "base/macro.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX (512u << 10)
#define REGION_MAX (256u << 10)
#define SECTOR 512u
#define TAIL_MAX (3 * SECTOR)
#define MEMBERS_MAX 4096u

enum tar_state { TAR_UNKNOWN, TAR_HEADER, TAR_DATA, TAR_PAD, TAR_END, TAR_NOT };

struct inspect {
    bool nested;
    bool no_memory;
    uint64_t pos;
    uint8_t *head;
    size_t head_len, head_cap;
    uint8_t tail[TAIL_MAX];
    size_t tail_len;
    uint8_t *region;
    uint64_t region_start;
    size_t region_size, region_len;
    bool region_missing; /* it was asked for after it had passed */
    bool region_decided;

    enum tar_state tar;
    uint8_t tar_block[SECTOR];
    size_t tar_block_len;
    uint64_t tar_left, tar_pad;
    uint64_t tar_data_start;
    unsigned tar_members;
    struct inspect *member;
    char member_name[101];
    bool tar_unsafe;
    char tar_reason[200];
    struct inspect_result out; /* of the tar's disk */
};

static const char *const NAMES[IMAGE_FORMATS_MAX] = {
    [IMAGE_RAW] = "raw",     [IMAGE_GPT] = "gpt",   [IMAGE_MBR] = "mbr",
    [IMAGE_QCOW2] = "qcow2", [IMAGE_VMDK] = "vmdk", [IMAGE_VDI] = "vdi",
    [IMAGE_VHD] = "vhd",     [IMAGE_VHDX] = "vhdx", [IMAGE_ISO] = "iso",
    [IMAGE_TAR] = "tar",     [IMAGE_LUKS] = "luks", [IMAGE_OTHER] = "an unsupported format",
};

const char *image_format_name(enum image_format f)
{
    return (unsigned)f < IMAGE_FORMATS_MAX ? NAMES[f] : "unknown";
}

const char *image_format_driver(enum image_format f)
{
    switch (f) {
    case IMAGE_QCOW2:
    case IMAGE_VMDK:
    case IMAGE_VDI:
    case IMAGE_VHDX:
        return NAMES[f];
    case IMAGE_VHD:
        return "vpc";
    default:
        return "raw";
    }
}

static struct inspect *inspect_make(bool nested)
{
    struct inspect *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->nested = nested;
    i->tar = nested ? TAR_NOT : TAR_UNKNOWN;
    return i;
}

struct inspect *inspect_new(void)
{
    return inspect_make(false);
}

void inspect_free(struct inspect *i)
{
    if (!i)
        return;
    inspect_free(i->member);
    free(i->head);
    free(i->region);
    free(i);
}

/* ---- reading from windows ---- */

/* n bytes at an offset of the head, or null where it does not reach. */
static const uint8_t *at(const struct inspect *i, uint64_t off, uint64_t n)
{
    if (off > i->head_len || n > i->head_len - off)
        return NULL;
    return i->head + off;
}

static bool is_at(const struct inspect *i, uint64_t off, const char *magic, size_t n)
{
    const uint8_t *p = at(i, off, n);
    return p && memcmp(p, magic, n) == 0;
}

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint64_t be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static uint32_t le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint64_t le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static void unsafe(struct inspect_result *r, const char *reason)
{
    if (!r->safe)
        return; /* the first reason stands */
    r->safe = false;
    snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

/* ---- tar ---- */

static bool tar_number(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t k = 0;
    if (p[0] & 0x80) { /* base 256, for sizes beyond 8 GiB */
        for (k = 1; k < n; k++) {
            if (v >> 55)
                return false;
            v = v << 8 | p[k];
        }
        *ret = v;
        return !(p[0] & 0x7f);
    }
    while (k < n && p[k] == ' ')
        k++;
    for (; k < n && p[k] >= '0' && p[k] <= '7'; k++) {
        if (v >> 60)
            return false;
        v = v << 3 | (uint64_t)(p[k] - '0');
    }
    if (k < n && p[k] && p[k] != ' ')
        return false;
    *ret = v;
    return true;
}

static bool tar_header_valid(const uint8_t *b)
{
    uint64_t want, sum = 0;
    if (memcmp(b + 257, "ustar", 5) != 0 || !tar_number(b + 148, 8, &want))
        return false;
    for (size_t k = 0; k < SECTOR; k++)
        sum += k >= 148 && k < 156 ? ' ' : b[k];
    return sum == want;
}

static bool is_disk_name(const char *name)
{
    static const char *const ENDINGS[] = { ".vmdk", ".vhd", ".vhdx", ".vdi", ".qcow2",
                                           ".qcow", ".img", ".raw",  ".iso", ".dsk" };
    size_t n = strlen(name);
    for (size_t k = 0; k < ARRAY_SIZE(ENDINGS); k++) {
        size_t m = strlen(ENDINGS[k]);
        if (n < m)
            continue;
        size_t j = 0;
        while (j < m && tolower((unsigned char)name[n - m + j]) == ENDINGS[k][j])
            j++;
        if (j == m)
            return true;
    }
    return false;
}

static void tar_fail(struct inspect *i, const char *reason)
{
    if (!i->tar_unsafe)
        snprintf(i->tar_reason, sizeof(i->tar_reason), "%s", reason);
    i->tar_unsafe = true;
    i->tar = TAR_END;
}

static void tar_member_done(struct inspect *i)
{
    if (!i->member)
        return;
    struct inspect_result r;
    if (inspect_finish(i->member, &r) < 0)
        i->no_memory = true;
    inspect_free(TAKE_PTR(i->member));
    if (!r.safe && !i->tar_unsafe) {
        i->tar_unsafe = true;
        snprintf(i->tar_reason, sizeof(i->tar_reason), "holds a disk that %.150s", r.reason);
    }
    if (i->out.disks++ == 0) {
        i->out.disk_format = r.format;
        i->out.disk_offset = i->tar_data_start;
        i->out.disk_size = r.size;
        i->out.disk_virtual_size = r.virtual_size;
        snprintf(i->out.disk_name, sizeof(i->out.disk_name), "%s", i->member_name);
    }
}

static void tar_header(struct inspect *i)
{
    const uint8_t *b = i->tar_block;
    bool blank = true;
    for (size_t k = 0; blank && k < SECTOR; k++)
        blank = b[k] == 0;
    if (blank) {
        i->tar = TAR_END;
        return;
    }
    if (!tar_header_valid(b)) {
        if (i->tar_members == 0)
            i->tar = TAR_NOT;
        else
            tar_fail(i, "is a damaged archive");
        return;
    }
    uint64_t size;
    if (!tar_number(b + 124, 12, &size) || size > INT64_MAX - i->pos) {
        tar_fail(i, "is an archive with a member of no possible size");
        return;
    }
    if (++i->tar_members > MEMBERS_MAX) {
        tar_fail(i, "is an archive with too many members");
        return;
    }
    char type = (char)b[156];
    bool regular = type == 0 || type == '0' || type == '7';
    if (type == 'S' || type == 'M') {
        tar_fail(i, "is an archive with sparse or split members");
        return;
    }
    memcpy(i->member_name, b, 100);
    i->member_name[100] = 0;
    if (regular && size > 0 && is_disk_name(i->member_name)) {
        i->member = inspect_make(true);
        if (!i->member)
            i->no_memory = true;
    }
    i->tar_data_start = i->pos;
    i->tar_left = type >= '1' && type <= '6' ? 0 : size; /* links and nodes have no data */
    i->tar_pad = (SECTOR - i->tar_left % SECTOR) % SECTOR;
    i->tar = TAR_DATA;
}

/* i->pos stands at the first byte of 'p' and is moved along. */
static void tar_feed(struct inspect *i, const uint8_t *p, size_t n)
{
    uint64_t end = i->pos + n;
    while (i->tar != TAR_END && i->tar != TAR_NOT) {
        if (i->tar == TAR_UNKNOWN)
            i->tar = TAR_HEADER;
        if (i->tar == TAR_HEADER) {
            size_t k = MIN(n, SECTOR - i->tar_block_len);
            if (k)
                memcpy(i->tar_block + i->tar_block_len, p, k);
            i->tar_block_len += k;
            i->pos += k;
            p += k;
            n -= k;
            if (i->tar_block_len < SECTOR)
                break;
            i->tar_block_len = 0;
            tar_header(i);
        } else if (i->tar == TAR_DATA) {
            size_t k = (size_t)MIN((uint64_t)n, i->tar_left);
            if (i->member)
                inspect_feed(i->member, p, k);
            i->tar_left -= k;
            i->pos += k;
            p += k;
            n -= k;
            if (i->tar_left)
                break;
            tar_member_done(i);
            i->tar = TAR_PAD;
        } else {
            size_t k = (size_t)MIN((uint64_t)n, i->tar_pad);
            i->tar_pad -= k;
            i->pos += k;
            p += k;
            n -= k;
            if (i->tar_pad)
                break;
            i->tar = TAR_HEADER;
            if (!n)
                break;
        }
    }
    i->pos = end;
}

/* ---- VHDX: where its metadata lies ---- */

static const uint8_t VHDX_METADATA[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                           0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
static const uint8_t VHDX_FILE_PARAMETERS[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                                  0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b };
static const uint8_t VHDX_DISK_SIZE[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                            0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };
static const uint8_t VHDX_PARENT[16] = { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                         0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c };
#define VHDX_REGIONS_AT (192u << 10)

/* Called when the head is full: what else must be kept. */
static void region_decide(struct inspect *i)
{
    if (i->region_decided)
        return;
    i->region_decided = true;
    if (!is_at(i, 0, "vhdxfile", 8) || !is_at(i, VHDX_REGIONS_AT, "regi", 4))
        return;
    const uint8_t *p = at(i, VHDX_REGIONS_AT, 64u << 10);
    uint32_t n = p ? le32(p + 8) : 0;
    for (uint32_t k = 0; k < MIN(n, 2047u); k++) {
        const uint8_t *e = p + 16 + 32u * k;
        if (memcmp(e, VHDX_METADATA, 16) != 0)
            continue;
        uint64_t start = le64(e + 16);
        uint32_t size = le32(e + 24);
        if (start < HEAD_MAX || start > INT64_MAX / 2 || size < 1024) {
            i->region_missing = true;
            return;
        }
        i->region_start = start;
        i->region_size = MIN(size, REGION_MAX);
        i->region = malloc(i->region_size);
        if (!i->region)
            i->no_memory = true;
        return;
    }
    i->region_missing = true;
}

/* ---- feeding ---- */

static void head_add(struct inspect *i, const uint8_t *p, size_t n)
{
    size_t k = MIN(n, (size_t)HEAD_MAX - i->head_len);
    if (k == 0)
        return;
    if (i->head_len + k > i->head_cap) {
        size_t cap = i->head_cap ? i->head_cap : 64u << 10;
        while (cap < i->head_len + k)
            cap *= 2;
        uint8_t *bigger = realloc(i->head, cap);
        if (!bigger) {
            i->no_memory = true;
            return;
        }
        i->head = bigger;
        i->head_cap = cap;
    }
    memcpy(i->head + i->head_len, p, k);
    i->head_len += k;
    if (i->head_len == HEAD_MAX)
        region_decide(i);
}

static void region_add(struct inspect *i, const uint8_t *p, size_t n)
{
    if (!i->region || i->region_len == i->region_size)
        return;
    uint64_t want = i->region_start + i->region_len;
    if (i->pos + n <= want || i->pos > want)
        return;
    size_t skip = (size_t)(want - i->pos);
    size_t k = MIN(n - skip, i->region_size - i->region_len);
    memcpy(i->region + i->region_len, p + skip, k);
    i->region_len += k;
}

static void tail_add(struct inspect *i, const uint8_t *p, size_t n)
{
    if (n >= TAIL_MAX) {
        memcpy(i->tail, p + n - TAIL_MAX, TAIL_MAX);
        i->tail_len = TAIL_MAX;
        return;
    }
    if (i->tail_len + n > TAIL_MAX) {
        size_t drop = i->tail_len + n - TAIL_MAX;
        memmove(i->tail, i->tail + drop, i->tail_len - drop);
        i->tail_len -= drop;
    }
    memcpy(i->tail + i->tail_len, p, n);
    i->tail_len += n;
}

void inspect_feed(struct inspect *i, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (n == 0 || i->no_memory)
        return;
    if (i->pos == i->head_len)
        head_add(i, p, n);
    region_add(i, p, n);
    tail_add(i, p, n);
    if (i->tar == TAR_END || i->tar == TAR_NOT)
        i->pos += n;
    else
        tar_feed(i, p, n);
}

/* ---- the formats ---- */

static void found(struct inspect_result *r, enum image_format f)
{
    r->found |= 1u << f;
}

static void look_qcow2(const struct inspect *i, struct inspect_result *r)
{
    enum { DIRTY = 1, CORRUPT = 2, DATA_FILE = 4, COMPRESSION = 8, EXTENDED_L2 = 16 };
    if (!is_at(i, 0, "QFI\xfb", 4))
        return;
    const uint8_t *h = at(i, 0, 72);
    if (!h) {
        found(r, IMAGE_QCOW2);
        unsafe(r, "has a qcow2 header that is cut short");
        return;
    }
    uint32_t version = be32(h + 4);
    if (version != 2 && version != 3) {
        found(r, IMAGE_OTHER);
        unsafe(r, "is a qcow of a version other than 2 and 3");
        return;
    }
    found(r, IMAGE_QCOW2);
    uint64_t backing = be64(h + 8);
    uint32_t cluster_bits = be32(h + 20);
    r->virtual_size = be64(h + 24);
    if (backing || be32(h + 16))
        unsafe(r, "has a backing file");
    if (cluster_bits < 9 || cluster_bits > 21)
        unsafe(r, "has a qcow2 cluster size that is not possible");
    uint64_t ext = 72;
    if (version == 3) {
        if (!(h = at(i, 0, 104))) {
            unsafe(r, "has a qcow2 header that is cut short");
            return;
        }
        uint64_t features = be64(h + 72);
        if (features & DATA_FILE)
            unsafe(r, "keeps its data in an external file");
        if (features & CORRUPT)
            unsafe(r, "is marked corrupt");
        if (features & ~(uint64_t)(DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2))
            unsafe(r, "uses qcow2 features that are not known");
        ext = be32(h + 100);
        if (ext < 104 || ext % 8)
            unsafe(r, "has a qcow2 header of no possible length");
    }
    if (!r->safe)
        return;
    for (uint64_t end = 1ull << cluster_bits; ext + 8 <= end;) {
        const uint8_t *e = at(i, ext, 8);
        if (!e) {
            if (i->pos > i->head_len)
                unsafe(r, "has qcow2 header extensions beyond what can be checked");
            return; /* the file ends here: nothing follows */
        }
        uint32_t type = be32(e), length = be32(e + 4);
        if (type == 0)
            return;
        if (type == 0xe2792acau)
            unsafe(r, "names the format of a backing file");
        if (type == 0x44415441u)
            unsafe(r, "names an external data file");
        if (length > end - ext - 8) {
            unsafe(r, "has a qcow2 header extension that is too long");
            return;
        }
        ext += 8 + (((uint64_t)length + 7) & ~(uint64_t)7);
    }
}

static void look_old_formats(const struct inspect *i, struct inspect_result *r)
{
    static const struct {
        const char *magic;
        size_t n;
        uint64_t off;
        const char *reason;
    } OTHERS[] = {
        { "QED\0", 4, 0, "is a QED image" },
        { "WithoutFreeSpace", 16, 0, "is a Parallels image" },
        { "WithouFreSpacExt", 16, 0, "is a Parallels image" },
        { "Bochs Virtual HD Image", 22, 0, "is a Bochs image" },
        { "#!/bin/sh\n#V2.0 Format\n", 23, 0, "is a cloop image" },
        { "COWD", 4, 0, "is a VMware COWD image" },
    };
    for (size_t k = 0; k < ARRAY_SIZE(OTHERS); k++) {
        if (!is_at(i, OTHERS[k].off, OTHERS[k].magic, OTHERS[k].n))
            continue;
        found(r, IMAGE_OTHER);
        unsafe(r, OTHERS[k].reason);
    }
    if (i->tail_len >= SECTOR && memcmp(i->tail + i->tail_len - SECTOR, "koly", 4) == 0) {
        found(r, IMAGE_OTHER);
        unsafe(r, "is an Apple disk image");
    }
}

/* A VMDK that is a text: QEMU takes comment and blank lines, then "version=". */
static bool is_vmdk_text(const struct inspect *i)
{
    const char *p = (const char *)i->head, *end = p + MIN(i->head_len, (size_t)8192);
    while (p < end) {
        if (*p == '#') {
            const char *nl = memchr(p, '\n', (size_t)(end - p));
            if (!nl)
                return false;
            if ((size_t)(end - p) >= 21 && memcmp(p, "# Disk DescriptorFile", 21) == 0)
                return true;
            p = nl + 1;
            continue;
        }
        while (p < end && (*p == ' ' || *p == '\r'))
            p++;
        if (p < end && *p == '\n') {
            p++;
            continue;
        }
        return (size_t)(end - p) >= 8 && memcmp(p, "version=", 8) == 0;
    }
    return false;
}

/* Case-blind, as VMware's own parser is; 'text' need not end with NUL. */
static const char *find_text(const char *text, size_t n, const char *what)
{
    size_t m = strlen(what);
    for (size_t k = 0; k + m <= n; k++)
        if (strncasecmp(text + k, what, m) == 0)
            return text + k;
    return NULL;
}

static void look_vmdk_descriptor(const char *text, size_t n, struct inspect_result *r)
{
    unsigned extents = 0;
    bool type = false;
    for (const char *p = text, *end = text + n; p < end && *p;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        while (len && (*p == ' ' || *p == '\t')) {
            p++;
            len--;
        }
        if (len >= 10 && strncasecmp(p, "createType", 10) == 0) {
            type = true;
            if (!find_text(p, len, "\"monolithicSparse\"") && !find_text(p, len, "\"streamOptimized\""))
                unsafe(r, "is a VMDK of a createType other than monolithicSparse and streamOptimized");
        } else if (len >= 3 && (strncasecmp(p, "RW ", 3) == 0 || strncasecmp(p, "RDO", 3) == 0 ||
                                strncasecmp(p, "NOA", 3) == 0)) {
            if (++extents > 1)
                unsafe(r, "is a VMDK with more than one extent");
            if (!find_text(p, len, " SPARSE "))
                unsafe(r, "is a VMDK with an extent that is not sparse");
            if (memchr(p, '/', len) || memchr(p, '\\', len))
                unsafe(r, "is a VMDK with an extent in another folder");
        }
        p = nl ? nl + 1 : end;
    }
    if (find_text(text, n, "parentFileNameHint"))
        unsafe(r, "is a VMDK with a parent");
    if (!type)
        unsafe(r, "is a VMDK whose descriptor names no createType");
    else if (extents == 0)
        unsafe(r, "is a VMDK whose descriptor names no extent");
}

static void look_vmdk(const struct inspect *i, struct inspect_result *r)
{
    if (is_vmdk_text(i)) {
        found(r, IMAGE_VMDK);
        unsafe(r, "is a VMDK descriptor, which refers to other files");
        return;
    }
    if (!is_at(i, 0, "KDMV", 4))
        return;
    found(r, IMAGE_VMDK);
    const uint8_t *h = at(i, 0, SECTOR);
    if (!h) {
        unsafe(r, "has a VMDK header that is cut short");
        return;
    }
    uint64_t capacity = le64(h + 12), desc = le64(h + 28), desc_size = le64(h + 36), gd = le64(h + 56);
    if (capacity == 0 || capacity > INT64_MAX / SECTOR) {
        unsafe(r, "is a VMDK whose header gives no capacity");
        return;
    }
    r->virtual_size = capacity * SECTOR;
    if (desc == 0 || desc_size == 0 || desc > HEAD_MAX / SECTOR || desc_size > 256) {
        unsafe(r, "is a VMDK whose descriptor is not where it can be checked");
        return;
    }
    const char *text = (const char *)at(i, desc * SECTOR, desc_size * SECTOR);
    if (!text) {
        unsafe(r, "is a VMDK whose descriptor is cut short");
        return;
    }
    size_t n = strnlen(text, desc_size * SECTOR);
    look_vmdk_descriptor(text, n, r);
    /* QEMU looks for the parent at this fixed place, whatever the header says. */
    size_t fixed = i->head_len > SECTOR ? MIN(i->head_len - SECTOR, (size_t)(20 * SECTOR)) : 0;
    if (fixed && find_text((const char *)i->head + SECTOR, fixed, "parentFileNameHint"))
        unsafe(r, "is a VMDK with a parent");
    if (gd == UINT64_MAX) { /* a footer near the end replaces the header */
        const uint8_t *f = i->tail + SECTOR;
        if (i->tail_len < TAIL_MAX || memcmp(f, "KDMV", 4) != 0)
            unsafe(r, "is a VMDK without its footer");
        else if (le64(f + 12) != capacity || le64(f + 28) != desc)
            unsafe(r, "is a VMDK whose footer contradicts its header");
    }
}

static void look_vdi(const struct inspect *i, struct inspect_result *r)
{
    if (!is_at(i, 0x40, "\x7f\x10\xda\xbe", 4))
        return;
    found(r, IMAGE_VDI);
    const uint8_t *h = at(i, 0, 512);
    if (!h) {
        unsafe(r, "has a VDI header that is cut short");
        return;
    }
    r->virtual_size = le64(h + 0x170);
    if (le32(h + 0x4c) != 1 && le32(h + 0x4c) != 2)
        unsafe(r, "is a VDI that depends on another");
    for (unsigned k = 0; k < 32; k++) /* the ids of a linked image and of a parent */
        if (h[0x1a8 + k])
            unsafe(r, "is a VDI that depends on another");
}

static void look_vhd(const struct inspect *i, struct inspect_result *r)
{
    const uint8_t *foot = i->tail_len >= SECTOR ? i->tail + i->tail_len - SECTOR : NULL;
    const uint8_t *h = NULL;
    if (is_at(i, 0, "conectix", 8))
        h = at(i, 0, SECTOR);
    else if (foot && memcmp(foot, "conectix", 8) == 0)
        h = foot;
    else if (!is_at(i, 0, "conectix", 8))
        return;
    found(r, IMAGE_VHD);
    if (!h) {
        unsafe(r, "has a VHD header that is cut short");
        return;
    }
    r->virtual_size = be64(h + 48);
    uint32_t type = be32(h + 60);
    if (type != 2 && type != 3)
        unsafe(r, "is a VHD that depends on another");
    if (h != foot && foot && memcmp(foot, "conectix", 8) == 0 && be32(foot + 60) != type)
        unsafe(r, "is a VHD whose footer contradicts its header");
}

static void look_vhdx(const struct inspect *i, struct inspect_result *r)
{
    if (!is_at(i, 0, "vhdxfile", 8))
        return;
    found(r, IMAGE_VHDX);
    const uint8_t *m = i->region;
    size_t n = i->region_len;
    if (i->region_missing || !m || n < 1024 || memcmp(m, "metadata", 8) != 0) {
        unsafe(r, "is a VHDX whose metadata is not where it can be checked");
        return;
    }
    bool parameters = false, size = false;
    unsigned entries = m[10] | (unsigned)m[11] << 8;
    for (unsigned k = 0; k < entries; k++) {
        size_t off = 32 + 32u * k;
        if (off + 32 > n) {
            unsafe(r, "is a VHDX whose metadata is cut short");
            return;
        }
        const uint8_t *e = m + off;
        uint32_t item = le32(e + 16);
        if (memcmp(e, VHDX_PARENT, 16) == 0)
            unsafe(r, "is a VHDX with a parent");
        if (item > n || n - item < 8)
            continue;
        if (memcmp(e, VHDX_FILE_PARAMETERS, 16) == 0) {
            parameters = true;
            if (le32(m + item + 4) & 2)
                unsafe(r, "is a VHDX with a parent");
        } else if (memcmp(e, VHDX_DISK_SIZE, 16) == 0) {
            size = true;
            r->virtual_size = le64(m + item);
        }
    }
    if (!parameters || !size)
        unsafe(r, "is a VHDX whose metadata says too little");
}

static void look_plain(const struct inspect *i, struct inspect_result *r)
{
    if (is_at(i, 0x8001, "CD001", 5) || is_at(i, 0x8001, "BEA01", 5))
        found(r, IMAGE_ISO);
    if (is_at(i, 0, "LUKS\xba\xbe", 6)) {
        found(r, IMAGE_LUKS);
        const uint8_t *v = at(i, 6, 2);
        if (!v || (be16(v) != 1 && be16(v) != 2))
            unsafe(r, "has a LUKS header of a version that is not known");
    }
    if (is_at(i, 510, "\x55\xaa", 2)) {
        if (is_at(i, 512, "EFI PART", 8) || is_at(i, 4096, "EFI PART", 8)) {
            found(r, IMAGE_GPT);
        } else {
            const uint8_t *t = at(i, 446, 64);
            bool used = false, good = t != NULL;
            for (unsigned k = 0; good && k < 4; k++) {
                good = (t[16 * k] & 0x7f) == 0;
                used = used || t[16 * k + 4];
            }
            if (good && used)
                found(r, IMAGE_MBR);
        }
    }
}

#define WHOLE (1u << IMAGE_GPT | 1u << IMAGE_MBR)

int inspect_finish(struct inspect *i, struct inspect_result *ret)
{
    struct inspect_result *r = ret;
    *r = i->out;
    r->found = 0;
    r->safe = true;
    r->size = i->pos;
    region_decide(i);
    look_qcow2(i, r);
    look_old_formats(i, r);
    look_vmdk(i, r);
    look_vdi(i, r);
    look_vhd(i, r);
    look_vhdx(i, r);
    look_plain(i, r);
    if (i->tar_members) {
        found(r, IMAGE_TAR);
        if (i->tar == TAR_DATA && i->tar_left)
            tar_fail(i, "is an archive that is cut short");
        tar_member_done(i);
        unsigned disks = i->out.disks;
        r->disks = disks;
        if (i->tar_unsafe)
            unsafe(r, i->tar_reason);
    }

    uint32_t inner = r->found & ~WHOLE;
    if (inner & (inner - 1)) {
        size_t n = (size_t)snprintf(r->reason, sizeof(r->reason), "can be taken for");
        const char *between = " ";
        for (unsigned f = 0; f < IMAGE_FORMATS_MAX; f++) {
            if (!(inner >> f & 1) || n >= sizeof(r->reason))
                continue;
            n += (size_t)snprintf(r->reason + n, sizeof(r->reason) - n, "%s%s", between, NAMES[f]);
            between = " and for ";
        }
        r->safe = false;
    }
    r->format = IMAGE_RAW;
    for (unsigned f = IMAGE_FORMATS_MAX; f-- > 1;)
        if (r->found >> f & 1 && (r->format == IMAGE_RAW || !(WHOLE >> f & 1)))
            r->format = f;
    if (r->virtual_size > INT64_MAX)
        unsafe(r, "claims an impossible virtual size");
    if (!(r->found &
          (1u << IMAGE_QCOW2 | 1u << IMAGE_VMDK | 1u << IMAGE_VDI | 1u << IMAGE_VHD | 1u << IMAGE_VHDX)))
        r->virtual_size = r->found & (1u << IMAGE_TAR) ? i->out.disk_virtual_size : r->size;
    return i->no_memory ? -ENOMEM : 0;
}

int inspect_fd(int fd, struct inspect_result *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    _cleanup_(inspect_freep) struct inspect *i = inspect_new();
    _cleanup_(freep) char *buf = malloc(64u << 10);
    if (!i || !buf)
        return -ENOMEM;
    uint64_t size = (uint64_t)st.st_size;
    while (i->pos < size) {
        uint64_t next = i->pos;
        if (i->head_len == HEAD_MAX && (i->tar == TAR_NOT || i->tar == TAR_END)) {
            if (i->region && i->region_len < i->region_size)
                next = MAX(next, i->region_start + i->region_len);
            else
                next = MAX(next, size > TAIL_MAX ? size - TAIL_MAX : 0);
            if (next > size) /* a region beyond the end */
                next = size > TAIL_MAX ? MAX(i->pos, size - TAIL_MAX) : i->pos;
        }
        if (next > i->pos) {
            i->pos = next;
            i->tail_len = 0;
        }
        ssize_t n = pread(fd, buf, 64u << 10, (off_t)i->pos);
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO; /* shorter than it was a moment ago */
        inspect_feed(i, buf, (size_t)n);
    }
    return inspect_finish(i, ret);
}

/* ---- declared against found ---- */

/* The formats whose bytes may stand as they are: nothing in them makes a reader open more. */
#define PLAIN (1u << IMAGE_RAW | WHOLE | 1u << IMAGE_ISO | 1u << IMAGE_LUKS | 1u << IMAGE_TAR)

static uint32_t accepted(const char *disk_format)
{
    static const struct {
        const char *name;
        uint32_t mask;
    } ACCEPTED[] = {
        { "raw", PLAIN },
        { "ami", PLAIN },
        { "aki", PLAIN },
        { "ari", PLAIN },
        { "iso", 1u << IMAGE_ISO },
        { "qcow2", 1u << IMAGE_QCOW2 },
        { "vmdk", 1u << IMAGE_VMDK },
        { "vdi", 1u << IMAGE_VDI },
        { "vhd", 1u << IMAGE_VHD },
        { "vhdx", 1u << IMAGE_VHDX },
    };
    for (size_t k = 0; k < ARRAY_SIZE(ACCEPTED); k++)
        if (str_eq(disk_format, ACCEPTED[k].name))
            return ACCEPTED[k].mask;
    return 0;
}

int inspect_check(const struct inspect_result *r, const char *disk_format, const char *container_format,
                  bool strict, struct fault *fault)
{
    if (!r->safe)
        return fault_set(fault, 400, "InvalidImageData", "The image is refused: it %s.", r->reason);
    if (!strict)
        return 0;
    if (str_eq(container_format, "ova")) {
        if (r->format != IMAGE_TAR)
            return fault_set(fault, 400, "InvalidImageData",
                             "The container format is declared as ova, but the data is %s.",
                             image_format_name(r->format));
        if (!r->disks)
            return fault_set(fault, 400, "InvalidImageData", "The ova holds no disk.");
        return 0;
    }
    if (str_eq(container_format, "compressed") || !disk_format)
        return 0;
    if (accepted(disk_format) >> r->format & 1)
        return 0;
    return fault_set(fault, 400, "InvalidImageData", "The disk format is declared as %s, but the data is %s.",
                     disk_format, image_format_name(r->format));
}
