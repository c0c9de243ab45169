/*
 * The inspector: what it finds in good files of every format, and that each known way to
 * reach the host's other files is called unsafe. Every file is fed whole, by single odd
 * pieces and by descriptor, and all must agree.
 */
#include "image/inspect.h"

#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>

static struct inspect_result fed(const char *data, size_t n, size_t piece)
{
    _cleanup_(inspect_freep) struct inspect *i = inspect_new();
    assert_non_null(i);
    for (size_t off = 0; off < n; off += piece)
        inspect_feed(i, data + off, MIN(piece, n - off));
    struct inspect_result r;
    assert_int_equal(inspect_finish(i, &r), 0);
    return r;
}

static void assert_same(const struct inspect_result *a, const struct inspect_result *b)
{
    assert_int_equal(a->found, b->found);
    assert_int_equal(a->format, b->format);
    assert_int_equal(a->safe, b->safe);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->virtual_size, b->virtual_size);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->disk_offset, b->disk_offset);
    assert_int_equal(a->disk_size, b->disk_size);
}

static struct inspect_result look(const char *name)
{
    size_t n;
    _cleanup_(freep) char *data = files_read(name, &n);
    struct inspect_result whole = fed(data, n, n ? n : 1), odd = fed(data, n, 4099), by_fd;
    assert_same(&whole, &odd);
    if (n < 100000) {
        struct inspect_result single = fed(data, n, 1);
        assert_same(&whole, &single);
    }
    int fd = open(files_path(name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(inspect_fd(fd, &by_fd), 0);
    (void)close(fd);
    assert_same(&whole, &by_fd);
    return whole;
}

static void assert_good(const char *name, enum image_format f, uint64_t virtual_size)
{
    struct inspect_result r = look(name);
    if (!r.safe)
        fail_msg("%s: %s", name, r.reason);
    assert_int_equal(r.format, f);
    assert_int_equal(r.virtual_size, virtual_size);
}

static void assert_unsafe(const char *name, const char *reason)
{
    struct inspect_result r = look(name);
    assert_false(r.safe);
    if (!strstr(r.reason, reason))
        fail_msg("%s: '%s' instead of '%s'", name, r.reason, reason);
    struct fault f;
    assert_int_equal(inspect_check(&r, "raw", "bare", true, &f), FAULT);
    assert_int_equal(inspect_check(&r, "qcow2", "bare", false, &f), FAULT);
    assert_int_equal(f.status, 400);
}

static void good_files(void **state)
{
    (void)state;
    QEMU_IMG("create", "-q", "-f", "raw", "@a.raw", "3M");
    QEMU_IMG("create", "-q", "-f", "qcow2", "@a.qcow2", "64M");
    QEMU_IMG("create", "-q", "-f", "qcow2", "-o", "compat=0.10", "@v2.qcow2", "65M");
    QEMU_IMG("create", "-q", "-f", "qcow2", "-o", "compression_type=zstd,extended_l2=on", "@z.qcow2", "66M");
    QEMU_IMG("create", "-q", "-f", "vdi", "@a.vdi", "64M");
    QEMU_IMG("create", "-q", "-f", "vpc", "-o", "force_size=on", "@a.vhd", "64M");
    QEMU_IMG("create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size=on", "@fixed.vhd", "2M");
    QEMU_IMG("create", "-q", "-f", "vhdx", "@a.vhdx", "64M");
    QEMU_IMG("create", "-q", "-f", "vmdk", "@a.vmdk", "64M");
    QEMU_IMG("convert", "-O", "vmdk", "-o", "subformat=streamOptimized", "@a.raw", "@stream.vmdk");
    assert_good("a.raw", IMAGE_RAW, 3 << 20);
    assert_good("a.qcow2", IMAGE_QCOW2, 64 << 20);
    assert_good("v2.qcow2", IMAGE_QCOW2, 65 << 20);
    assert_good("z.qcow2", IMAGE_QCOW2, 66 << 20);
    assert_good("a.vdi", IMAGE_VDI, 64 << 20);
    assert_good("a.vhd", IMAGE_VHD, 64 << 20);
    assert_good("fixed.vhd", IMAGE_VHD, 2 << 20);
    assert_good("a.vhdx", IMAGE_VHDX, 64 << 20);
    assert_good("a.vmdk", IMAGE_VMDK, 64 << 20);
    assert_good("stream.vmdk", IMAGE_VMDK, 3 << 20);
}

static void plain_files(void **state)
{
    (void)state;
    static char disk[128 << 10];
    files_write("empty", disk, 0);
    assert_good("empty", IMAGE_RAW, 0);
    files_write("small", disk, 700);
    assert_good("small", IMAGE_RAW, 700);

    memcpy(disk + 510, "\x55\xaa", 2);
    disk[446] = (char)0x80;
    disk[450] = (char)0x83;
    files_write("mbr", disk, sizeof(disk));
    assert_good("mbr", IMAGE_MBR, sizeof(disk));
    memcpy(disk + 512, "EFI PART", 8);
    files_write("gpt", disk, sizeof(disk));
    assert_good("gpt", IMAGE_GPT, sizeof(disk));
    memcpy(disk + 0x8001, "CD001", 5); /* a hybrid: a disk and an ISO */
    files_write("iso", disk, sizeof(disk));
    assert_good("iso", IMAGE_ISO, sizeof(disk));

    static char luks[4096] = "LUKS\xba\xbe\0\1";
    files_write("luks", luks, sizeof(luks));
    assert_good("luks", IMAGE_LUKS, sizeof(luks));
    luks[7] = 9;
    files_write("luks9", luks, sizeof(luks));
    assert_unsafe("luks9", "LUKS");
}

static void qcow2_leads_elsewhere(void **state)
{
    (void)state;
    QEMU_IMG("create", "-q", "-f", "raw", "@base.raw", "1M");
    QEMU_IMG("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "@base.raw", "@back.qcow2", "1M");
    assert_unsafe("back.qcow2", "backing file");
    QEMU_IMG("create", "-q", "-f", "qcow2", "-o", "compat=0.10,backing_fmt=raw", "-b", "@base.raw",
             "@back2.qcow2", "1M");
    assert_unsafe("back2.qcow2", "backing file");

    char option[200];
    snprintf(option, sizeof(option), "data_file=%s", files_path("data.raw"));
    QEMU_IMG("create", "-q", "-f", "qcow2", "-o", option, "@data.qcow2", "1M");
    assert_unsafe("data.qcow2", "external");
    /* The bit alone, and the extension alone. */
    QEMU_IMG("create", "-q", "-f", "qcow2", "@bit.qcow2", "1M");
    files_patch("bit.qcow2", 79, "\x04", 1);
    assert_unsafe("bit.qcow2", "external file");
    files_patch("data.qcow2", 79, "\0", 1);
    assert_unsafe("data.qcow2", "external data file");

    QEMU_IMG("create", "-q", "-f", "qcow2", "@unknown.qcow2", "1M");
    files_patch("unknown.qcow2", 72, "\x01", 1);
    assert_unsafe("unknown.qcow2", "not known");
    /* Extensions that are too long, or go on past the window. */
    QEMU_IMG("create", "-q", "-f", "qcow2", "@ext.qcow2", "1M");
    files_patch("ext.qcow2", 112, "\x12\x34\x56\x78\xff\xff\xff\xff", 8);
    assert_unsafe("ext.qcow2", "too long");
    QEMU_IMG("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", "@far.qcow2", "1M");
    files_patch("far.qcow2", 112, "\x12\x34\x56\x78\x00\x0a\x00\x00", 8);
    assert_unsafe("far.qcow2", "beyond");
    files_write("short.qcow2", "QFI\xfb\0\0\0\3", 8);
    assert_unsafe("short.qcow2", "cut short");
    QEMU_IMG("create", "-q", "-f", "qcow", "@old.qcow", "1M");
    assert_unsafe("old.qcow", "version");
    QEMU_IMG("create", "-q", "-f", "qed", "@a.qed", "1M");
    assert_unsafe("a.qed", "QED");
}

static void vmdk_edit(const char *name, const char *what, const char *with)
{
    QEMU_IMG("create", "-q", "-f", "vmdk", "@edit.vmdk", "4M");
    size_t n;
    _cleanup_(freep) char *data = files_read("edit.vmdk", &n);
    char *p = memmem(data, n, what, strlen(what));
    assert_non_null(p);
    assert_int_equal(strlen(what), strlen(with));
    memcpy(p, with, strlen(with));
    files_write(name, data, n);
}

static void vmdk_leads_elsewhere(void **state)
{
    (void)state;
    QEMU_IMG("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "@flat.vmdk", "1M");
    assert_unsafe("flat.vmdk", "descriptor");
    QEMU_IMG("create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "@split.vmdk", "1M");
    assert_unsafe("split.vmdk", "descriptor");
    files_write("comment.vmdk", "# a remark\n\n  \nversion=1\n", 25);
    assert_unsafe("comment.vmdk", "descriptor");

    vmdk_edit("type.vmdk", "monolithicSparse", "monolithicFlat\"x");
    assert_unsafe("type.vmdk", "createType");
    vmdk_edit("extent.vmdk", " SPARSE \"", " FLAT \"//");
    assert_unsafe("extent.vmdk", "not sparse");
    vmdk_edit("folder.vmdk", "\"edit.vmdk\"", "\"/etc/pass\"");
    assert_unsafe("folder.vmdk", "another folder");
    vmdk_edit("parent.vmdk", "ddb.virtualHWVersion", "parentFileNameHint=\"");
    assert_unsafe("parent.vmdk", "parent");

    QEMU_IMG("create", "-q", "-f", "vmdk", "@zero.vmdk", "4M");
    files_patch("zero.vmdk", 12, "\0\0\0\0\0\0\0\0", 8);
    assert_unsafe("zero.vmdk", "no capacity");
    QEMU_IMG("create", "-q", "-f", "vmdk", "@far.vmdk", "4M");
    files_patch("far.vmdk", 28, "\0\0\0\1\0\0\0\0", 8);
    assert_unsafe("far.vmdk", "not where");
}

static void others_lead_elsewhere(void **state)
{
    (void)state;
    QEMU_IMG("create", "-q", "-f", "vdi", "@diff.vdi", "1M");
    files_patch("diff.vdi", 0x4c, "\4", 1);
    assert_unsafe("diff.vdi", "depends on another");
    QEMU_IMG("create", "-q", "-f", "vpc", "@diff.vhd", "4M");
    files_patch("diff.vhd", 63, "\4", 1);
    assert_unsafe("diff.vhd", "depends on another");
    QEMU_IMG("create", "-q", "-f", "vhdx", "@diff.vhdx", "4M");
    size_t n;
    _cleanup_(freep) char *data = files_read("diff.vhdx", &n);
    char *meta = memmem(data, n, "metadata", 8);
    assert_non_null(meta);
    uint32_t item = 0;
    for (char *e = meta + 32; e < meta + 32 + 10 * 32; e += 32)
        if (memcmp(e, "\x37\x67\xa1\xca", 4) == 0)
            memcpy(&item, e + 16, 4);
    assert_true(item > 0);
    files_patch("diff.vhdx", meta - data + item + 4, "\2", 1);
    assert_unsafe("diff.vhdx", "parent");
    files_patch("diff.vhdx", 192 << 10, "XXXX", 4);
    assert_unsafe("diff.vhdx", "not where");
}

static void two_things_at_once(void **state)
{
    (void)state;
    QEMU_IMG("create", "-q", "-f", "qcow2", "@mix.iso", "1M");
    files_patch("mix.iso", 0x8001, "CD001", 5);
    assert_unsafe("mix.iso", "can be taken for qcow2 and for iso");
    char foot[512] = "conectix";
    QEMU_IMG("create", "-q", "-f", "qcow2", "@mix.vhd", "1M");
    size_t n;
    _cleanup_(freep) char *data = files_read("mix.vhd", &n);
    assert_non_null(data);
    files_patch("mix.vhd", (long)n, foot, sizeof(foot));
    assert_unsafe("mix.vhd", "can be taken for qcow2 and for vhd");
}

static void ova(void **state)
{
    (void)state;
    static char tar[1 << 20];
    size_t n, size;
    QEMU_IMG("create", "-q", "-f", "vmdk", "@disk.vmdk", "4M");
    _cleanup_(freep) char *disk = files_read("disk.vmdk", &size);
    n = files_tar_add(tar, 0, sizeof(tar), "box.ovf", "<Envelope/>", 11);
    n = files_tar_add(tar, n, sizeof(tar), "box-disk1.VMDK", disk, size);
    memset(tar + n, 0, 1024);
    files_write("box.ova", tar, n + 1024);
    assert_good("box.ova", IMAGE_TAR, 4 << 20);
    struct inspect_result r = look("box.ova");
    assert_int_equal(r.disks, 1);
    assert_int_equal(r.disk_format, IMAGE_VMDK);
    assert_int_equal(r.disk_offset, 512 + 512 + 512);
    assert_int_equal(r.disk_size, size);
    assert_string_equal(r.disk_name, "box-disk1.VMDK");
    struct fault f;
    assert_int_equal(inspect_check(&r, "vmdk", "ova", true, &f), 0);
    assert_int_equal(inspect_check(&r, "vmdk", "bare", true, &f), FAULT);

    files_write("cut.ova", tar, n - 4096);
    assert_unsafe("cut.ova", "cut short");
    _cleanup_(freep) char *flat = files_read("disk.vmdk", &size);
    char *type = memmem(flat, size, "monolithicSparse", 16);
    assert_non_null(type);
    memcpy(type, "monolithicXXXXXX", 16);
    n = files_tar_add(tar, 0, sizeof(tar), "box.ovf", "<Envelope/>", 11);
    n = files_tar_add(tar, n, sizeof(tar), "box.vmdk", flat, size);
    files_write("evil.ova", tar, n);
    assert_unsafe("evil.ova", "holds a disk that is a VMDK of a createType");
    n = files_tar_add(tar, 0, sizeof(tar), "a.txt", "hello", 5);
    memset(tar + n, 'x', 512);
    files_write("bad.ova", tar, n + 512);
    assert_unsafe("bad.ova", "damaged");
}

static void declared(void **state)
{
    (void)state;
    struct fault f;
    QEMU_IMG("create", "-q", "-f", "qcow2", "@d.qcow2", "1M");
    struct inspect_result q = look("d.qcow2");
    assert_int_equal(inspect_check(&q, "qcow2", "bare", true, &f), 0);
    assert_int_equal(inspect_check(&q, "raw", "bare", true, &f), FAULT);
    assert_non_null(strstr(f.message, "declared as raw, but the data is qcow2"));
    assert_int_equal(inspect_check(&q, "raw", "bare", false, &f), 0);
    assert_int_equal(inspect_check(&q, "ami", "ami", true, &f), FAULT);
    assert_int_equal(inspect_check(&q, "qcow2", "ova", true, &f), FAULT);
    QEMU_IMG("create", "-q", "-f", "raw", "@d.raw", "1M");
    struct inspect_result raw = look("d.raw");
    assert_int_equal(inspect_check(&raw, "raw", "bare", true, &f), 0);
    assert_int_equal(inspect_check(&raw, "aki", "aki", true, &f), 0);
    assert_int_equal(inspect_check(&raw, "qcow2", "bare", true, &f), FAULT);
    assert_int_equal(inspect_check(&raw, "iso", "bare", true, &f), FAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(plain_files),
        cmocka_unit_test(qcow2_leads_elsewhere),
        cmocka_unit_test(vmdk_leads_elsewhere),
        cmocka_unit_test(others_lead_elsewhere),
        cmocka_unit_test(two_things_at_once),
        cmocka_unit_test(ova),
        cmocka_unit_test(declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
