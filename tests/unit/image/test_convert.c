/*
 * Conversion: each format becomes qcow2 and raw with the bytes it had, a disk inside an OVA
 * is taken from where it lies, limits hold, and a backing file is never opened.
 */
#include "image/convert.h"

#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static void pattern(const char *name, size_t n)
{
    _cleanup_(freep) char *data = malloc(n);
    assert_non_null(data);
    for (size_t k = 0; k < n; k++)
        data[k] = (char)(k >> 9);
    files_write(name, data, n);
}

static void assert_equal_files(const char *a, const char *b)
{
    size_t n, m;
    _cleanup_(freep) char *x = files_read(a, &n), *y = files_read(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
}

static void every_format(void **state)
{
    (void)state;
    static const struct {
        const char *driver;
        enum image_format f;
    } FORMATS[] = {
        { "qcow2", IMAGE_QCOW2 },
        { "vmdk", IMAGE_VMDK },
        { "vdi", IMAGE_VDI },
        { "vhdx", IMAGE_VHDX },
    };
    pattern("p.raw", 1 << 20);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    for (size_t k = 0; k < ARRAY_SIZE(FORMATS); k++) {
        struct fault f = {};
        QEMU_IMG("convert", "-O", FORMATS[k].driver, "@p.raw", "@p.img");
        struct convert_source s = { .path = files_path("p.img"), .format = FORMATS[k].f };
        if (convert_image(&s, "raw", files_path("back.raw"), NULL, &f) != 0)
            fail_msg("%s: %s", FORMATS[k].driver, f.message);
        assert_equal_files("p.raw", "back.raw");
        struct convert_info info;
        assert_int_equal(convert_inspect(&s, NULL, a, &info, &f), 0);
        assert_int_equal(info.virtual_size, 1 << 20);
        assert_string_equal(info.format, FORMATS[k].driver);
        (void)unlink(files_path("p.img"));
    }
}

static void inside_an_ova(void **state)
{
    (void)state;
    pattern("q.raw", 256 << 10);
    QEMU_IMG("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", "@q.raw", "@q.vmdk");
    size_t n;
    _cleanup_(freep) char *disk = files_read("q.vmdk", &n);
    _cleanup_(freep) char *tar = calloc(1, n + 8192);
    size_t len = files_tar_add(tar, 0, n + 8192, "q.ovf", "<x/>", 4);
    size_t end = files_tar_add(tar, len, n + 8192, "q.vmdk", disk, n);
    files_write("q.ova", tar, end + 1024);
    struct fault f = {};
    struct convert_source s = {
        .path = files_path("q.ova"), .format = IMAGE_VMDK, .offset = len + 512, .size = n
    };
    if (convert_image(&s, "raw", files_path("q2.raw"), NULL, &f) != 0)
        fail_msg("%s", f.message);
    assert_equal_files("q.raw", "q2.raw");
}

static void held_short(void **state)
{
    (void)state;
    struct fault f = {};
    pattern("r.raw", 1 << 20);
    struct convert_source s = { .path = files_path("r.raw"), .format = IMAGE_RAW };
    struct convert_limits tight = { .memory = 16 << 20 };
    assert_int_equal(convert_image(&s, "qcow2", files_path("r.qcow2"), &tight, &f), FAULT);
    assert_int_equal(f.status, 400);
    assert_int_not_equal(access(files_path("r.qcow2"), F_OK), 0);

    files_write("junk.vmdk", "KDMVxxxxxxxxxxxxxxxxxxxx", 24);
    struct convert_source junk = { .path = files_path("junk.vmdk"), .format = IMAGE_VMDK };
    assert_int_equal(convert_image(&junk, "qcow2", files_path("j.qcow2"), NULL, &f), FAULT);
    assert_null(strstr(f.message, files_folder()));

    /* Though nothing checked it before: the backing file's bytes do not come through. */
    pattern("secret.raw", 64 << 10);
    QEMU_IMG("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "@secret.raw", "@thief.qcow2");
    struct convert_source thief = { .path = files_path("thief.qcow2"), .format = IMAGE_QCOW2 };
    assert_int_equal(convert_image(&thief, "raw", files_path("loot.raw"), NULL, &f), 0);
    size_t n;
    _cleanup_(freep) char *loot = files_read("loot.raw", &n);
    for (size_t k = 0; k < n; k++)
        assert_int_equal(loot[k], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format),
        cmocka_unit_test(inside_an_ova),
        cmocka_unit_test(held_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
