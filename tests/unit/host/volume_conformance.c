/* See volume_conformance.h. Contents are written and read through export and clone only, so
 * that nothing here depends on how a backend keeps its bytes. */
#include "volume_conformance.h"

#include "base/effect.h"
#include "host/disk/qemu_img.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

enum { MIB = 1 << 20 };

static void pattern_file(const char *path, char fill, size_t n)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        fputc(fill, f);
    fclose(f);
}

/* What a volume or snapshot reads as: its size, and the first and last byte. */
static void assert_reads(struct volume_driver *v, struct volume_origin from, const char *scratch,
                         int64_t size, char first, char last)
{
    char path[512];
    struct fault f = { 0 };
    snprintf(path, sizeof(path), "%s/export", scratch);
    int r = v->class->export(v, &from, path, "raw", &f);
    if (r)
        fail_msg("export of %s: %d %s", from.id, r, f.message);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char c;
    assert_int_equal(pread(fd, &c, 1, 0), 1);
    assert_int_equal(c, first);
    assert_int_equal(pread(fd, &c, 1, size - 1), 1);
    assert_int_equal(c, last);
    close(fd);
    unlink(path);
}

static size_t count(struct volume_driver *v, const char *id, int64_t *ret_size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct volume_list l = { 0 };
    assert_int_equal(v->class->list(v, a, &l), 0);
    VEC_FOREACH (e, &l)
        if (id && STREQ(e->id, id) && ret_size)
            *ret_size = e->size_bytes;
    return l.n;
}

#define VOL(x) ((struct volume_origin){ .kind = ORIGIN_VOLUME, .id = (x) })
#define SNAP(x) ((struct volume_origin){ .kind = ORIGIN_SNAPSHOT, .id = (x) })

void volume_conformance(const struct volume_driver_class *class, const struct volume_driver_config *config,
                        const char *scratch)
{
    _cleanup_(volume_driver_closep) struct volume_driver *v = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct fault f = { 0 };
    char image[512];
    int64_t size = 0;
    snprintf(image, sizeof(image), "%s/image", scratch);
    assert_int_equal(class->open(config, &v, &f), 0);
    assert_int_equal(count(v, NULL, NULL), 0);

    /* Create: twice is once; another size is refused; an unusable name is refused. */
    assert_int_equal(class->create(v, "v1", 4 * MIB, &f), 0);
    assert_int_equal(class->create(v, "v1", 4 * MIB, &f), 0);
    assert_int_equal(class->create(v, "v1", 5 * MIB, &f), FAULT);
    assert_int_equal(f.status, 409);
    assert_int_equal(class->create(v, "../x", MIB, &f), FAULT);
    assert_int_equal(class->create(v, "", MIB, &f), FAULT);
    assert_int_equal(count(v, "v1", &size), 1);
    assert_int_equal(size, 4 * MIB);
    assert_reads(v, VOL("v1"), scratch, 4 * MIB, '\0', '\0');

    /* Of an image: the contents, and room behind them. */
    pattern_file(image, 'A', MIB);
    struct volume_origin file = { .kind = ORIGIN_FILE, .path = image, .format = "raw" };
    assert_int_equal(class->clone(v, &file, "v2", 2 * MIB, &f), 0);
    assert_int_equal(class->clone(v, &file, "v2", 2 * MIB, &f), 0);
    assert_reads(v, VOL("v2"), scratch, 2 * MIB, 'A', '\0');
    assert_int_equal(class->clone(v, &file, "v3", MIB / 2, &f), FAULT);
    assert_int_equal(f.status, 400);
    assert_int_equal(count(v, NULL, NULL), 2);

    /* A snapshot keeps what was, whatever becomes of the volume. */
    assert_int_equal(class->snapshot(v, "v2", "s1", &f), 0);
    assert_int_equal(class->snapshot(v, "v2", "s1", &f), 0);
    assert_int_equal(class->snapshot(v, "nothing", "s2", &f), FAULT);
    assert_int_equal(f.status, 404);
    assert_int_equal(class->extend(v, "v2", 3 * MIB, &f), 0);
    assert_int_equal(class->extend(v, "v2", 3 * MIB, &f), 0);
    assert_int_equal(class->extend(v, "v2", 2 * MIB, &f), FAULT);
    assert_int_equal(f.status, 400);
    assert_int_equal(class->extend(v, "nothing", 2 * MIB, &f), FAULT);
    assert_int_equal(f.status, 404);
    assert_reads(v, VOL("v2"), scratch, 3 * MIB, 'A', '\0');
    assert_reads(v, SNAP("s1"), scratch, 2 * MIB, 'A', '\0');

    /* Clones of both kinds. */
    struct volume_origin snap = SNAP("s1"), vol = VOL("v2"), none = SNAP("nothing");
    assert_int_equal(class->clone(v, &snap, "v4", 4 * MIB, &f), 0);
    assert_reads(v, VOL("v4"), scratch, 4 * MIB, 'A', '\0');
    assert_int_equal(class->clone(v, &vol, "v5", 0, &f), 0);
    assert_reads(v, VOL("v5"), scratch, 3 * MIB, 'A', '\0');
    assert_int_equal(class->clone(v, &none, "v6", 0, &f), FAULT);
    assert_int_equal(f.status, 404);

    /* Back to a snapshot: the contents return, the size stays. */
    if (class->snapshot_take && class->scratch) {
        const char *made = class->scratch(v, "made", a);
        assert_non_null(made);
        pattern_file(made, 'B', 2 * MIB);
        assert_int_equal(class->snapshot_take(v, "v2", "s2", made, "raw", &f), 0);
        assert_false(file_exists(made));
        assert_int_equal(class->snapshot_take(v, "v2", "s2", made, "raw", &f), 0);
        assert_int_equal(class->revert(v, "v2", "s2", &f), 0);
        assert_reads(v, VOL("v2"), scratch, 3 * MIB, 'B', '\0');
    }
    assert_int_equal(class->revert(v, "v2", "s1", &f), 0);
    assert_reads(v, VOL("v2"), scratch, 3 * MIB, 'A', '\0');
    assert_int_equal(class->revert(v, "v2", "nothing", &f), FAULT);
    assert_int_equal(f.status, 404);

    /* A hypervisor is told where to find it. */
    struct disk_source src = { 0 };
    assert_int_equal(class->locate(v, "v2", a, &src, &f), 0);
    assert_non_null(src.driver);
    assert_int_equal(class->locate(v, "nothing", a, &src, &f), FAULT);
    assert_int_equal(f.status, 404);

    struct volume_usage u = { 0 };
    assert_int_equal(class->usage(v, &u), 0);
    assert_int_equal(u.volumes, 4);
    assert_int_equal(u.snapshots, class->snapshot_take ? 2 : 1);
    assert_true(u.provisioned_bytes >= 14 * MIB);

    /* Every step fails once: what was there is still there, and nothing half-made is seen. */
    size_t before = count(v, NULL, NULL);
    for (int n = 1;; n++) {
        effect_fail_at(n, -EIO);
        int r = class->clone(v, &snap, "v7", 3 * MIB, &f);
        bool fired = effect_fired();
        effect_fail_at(0, 0);
        if (!fired) {
            assert_int_equal(r, 0);
            break;
        }
        assert_true(r < 0);
        assert_int_equal(count(v, NULL, NULL), before);
        assert_true(n < 100);
    }
    assert_reads(v, VOL("v7"), scratch, 3 * MIB, 'A', '\0');

    /* Another process finds everything again. */
    volume_driver_close(v);
    v = NULL;
    assert_int_equal(class->open(config, &v, &f), 0);
    assert_int_equal(class->clean(v), 0);
    assert_int_equal(count(v, NULL, NULL), before + 1);

    /* The volume goes, its snapshot stays good. Removing twice is once. */
    assert_int_equal(class->remove(v, "v2", &f), 0);
    assert_int_equal(class->remove(v, "v2", &f), 0);
    assert_reads(v, SNAP("s1"), scratch, 2 * MIB, 'A', '\0');
    static const char *const VOLUMES[] = { "v1", "v4", "v5", "v7" };
    for (size_t i = 0; i < ARRAY_SIZE(VOLUMES); i++)
        assert_int_equal(class->remove(v, VOLUMES[i], &f), 0);
    assert_int_equal(class->snapshot_remove(v, "s1", &f), 0);
    assert_int_equal(class->snapshot_remove(v, "s1", &f), 0);
    assert_int_equal(class->snapshot_remove(v, "s2", &f), 0);
    assert_int_equal(count(v, NULL, NULL), 0);
    unlink(image);
}
