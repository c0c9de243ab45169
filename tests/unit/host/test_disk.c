/* Local disks and volumes, on small real files with the real qemu-img. */
#include "host/disk/config_drive.h"
#include "host/disk/disk_store.h"
#include "host/disk/qemu_img.h"

#include "base/effect.h"
#include "base/json.h"
#include "golden.h"
#include "volume_conformance.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/stat.h>

enum { MIB = 1 << 20 };
static const int64_t GIB = (int64_t)1 << 30;

struct world {
    char dir[64];
    char image[96]; /* file that fetch() gives */
    char hash[130];
    int fetches;
    struct disk_store *store;
    struct arena *a;
    struct server_image spec_image;
    struct server_spec spec;
};

static int rm_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
    return remove(path);
}

static int fetch(void *cookie, const struct server_image *image _unused_, int fd,
                 struct fault *fault _unused_)
{
    struct world *w = cookie;
    w->fetches++;
    _cleanup_(closep) int in = open(w->image, O_RDONLY | O_CLOEXEC);
    char block[65536];
    ssize_t n;
    while ((n = read(in, block, sizeof(block))) > 0)
        if (write(fd, block, (size_t)n) != n)
            return -EIO;
    return n < 0 ? -errno : 0;
}

static void hash_file(struct world *w)
{
    _cleanup_(closep) int in = open(w->image, O_RDONLY | O_CLOEXEC);
    EVP_MD_CTX *cx = EVP_MD_CTX_new();
    unsigned char sum[EVP_MAX_MD_SIZE], block[65536];
    unsigned n = 0;
    ssize_t k;
    EVP_DigestInit_ex(cx, EVP_sha512(), NULL);
    while ((k = read(in, block, sizeof(block))) > 0)
        EVP_DigestUpdate(cx, block, (size_t)k);
    EVP_DigestFinal_ex(cx, sum, &n);
    EVP_MD_CTX_free(cx);
    for (unsigned i = 0; i < n; i++)
        snprintf(w->hash + 2 * i, 3, "%02x", sum[i]);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->dir, sizeof(w->dir), "/tmp/yun-disk-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->image, sizeof(w->image), "%s/img", w->dir);
    struct fault f;
    char raw[96];
    snprintf(raw, sizeof(raw), "%s/raw", w->dir);
    FILE *file = fopen(raw, "we");
    for (int i = 0; i < MIB; i++)
        fputc('I', file);
    fclose(file);
    assert_int_equal(qemu_img_convert(raw, "raw", w->image, "qcow2", true, 0, &f), 0);
    unlink(raw);
    hash_file(w);
    w->a = arena_new(0);
    char *dir = arena_printf(w->a, "%s/store", w->dir);
    struct disk_store_config c = { .dir = dir, .fetch = fetch, .cookie = w };
    assert_int_equal(disk_store_open(&c, &w->store, &f), 0);
    w->spec_image = (struct server_image){ .id = "0a0a0a0a-1111-4111-8111-111111111111",
                                           .hash = w->hash,
                                           .hash_algorithm = "sha512",
                                           .disk_format = "qcow2" };
    w->spec = (struct server_spec){
        .id = "srv", .name = "n", .image = &w->spec_image, .config_drive = true, .swap_mb = 1
    };
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    effect_fail_at(0, 0);
    disk_store_close(w->store);
    arena_free(w->a);
    nftw(w->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

static struct server_disk *by_kind(struct server_spec *s, const char *kind)
{
    VEC_FOREACH (d, &s->disks)
        if (str_eq(d->kind, kind))
            return d;
    return NULL;
}

static size_t files_of(struct world *w, const char *id)
{
    struct strv names = { 0 };
    assert_int_equal(dir_names(arena_printf(w->a, "%s/store/instances/%s", w->dir, id), w->a, &names), 0);
    return names.n;
}

static void server_disks(void **state)
{
    struct world *w = *state;
    struct fault f = { 0 };
    struct server_spec *s;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
    assert_int_equal(s->disks.n, 3);
    struct server_disk *root = by_kind(s, DISK_ROOT);
    assert_non_null(root);
    assert_int_equal(root->boot_index, 0);
    assert_string_equal(root->source->format, "qcow2");
    struct image_facts facts;
    assert_int_equal(qemu_img_info(root->source->path, "qcow2", w->a, &facts, &f), 0);
    assert_string_equal(facts.backing, "base-0");
    assert_int_equal(facts.virtual_size, MIB);
    struct stat st;
    assert_int_equal(stat(by_kind(s, DISK_SWAP)->source->path, &st), 0);
    assert_int_equal(st.st_size, MIB);
    assert_int_equal(files_of(w, "srv"), 4);

    /* Again: nothing is fetched, nothing is made. The flavor grew: the disk does. */
    assert_int_equal(w->fetches, 1);
    w->spec.root_gb = 1;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
    assert_int_equal(qemu_img_info(root->source->path, "qcow2", w->a, &facts, &f), 0);
    assert_int_equal(facts.virtual_size, GIB);
    assert_int_equal(w->fetches, 1);

    /* The base is shared, read-only, and stays while it is used. */
    const char *base = arena_printf(w->a, "%s/store/instances/srv/base-0", w->dir);
    assert_int_equal(stat(base, &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(st.st_mode & 0777, 0444);
    assert_int_equal(disk_store_prune(w->store, 0), 0);
    struct strv images = { 0 };
    assert_int_equal(disk_store_images(w->store, w->a, &images), 0);
    assert_int_equal(images.n, 1);

    /* A second server shares it; a copy of the stopped root disk is flat. */
    struct server_spec other = w->spec;
    other.id = "srv2";
    struct server_spec *s2;
    assert_int_equal(disk_store_prepare(w->store, &other, w->a, &s2, &f), 0);
    assert_int_equal(w->fetches, 1);
    const char *copy = disk_store_scratch(w->store, "copy", w->a);
    assert_int_equal(disk_store_snapshot(w->store, root, copy, "qcow2", &f), 0);
    assert_int_equal(qemu_img_info(copy, "qcow2", w->a, &facts, &f), 0);
    assert_null(facts.backing);
    assert_false(facts.refers);

    /* Rebuild: a new root of the next number, the old one goes. */
    w->spec.rebuild = 1;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
    assert_non_null(strstr(by_kind(s, DISK_ROOT)->source->path, "root-1"));
    assert_false(file_exists(root->source->path));
    assert_int_equal(files_of(w, "srv"), 4);

    assert_int_equal(disk_store_remove(w->store, "srv"), 0);
    assert_int_equal(disk_store_remove(w->store, "srv"), 0);
    assert_int_equal(disk_store_remove(w->store, "srv2"), 0);
    struct strv left = { 0 };
    assert_int_equal(disk_store_list(w->store, w->a, &left), 0);
    assert_int_equal(left.n, 0);
    /* Unused now, but young. */
    assert_int_equal(disk_store_prune(w->store, HOURS(1)), 0);
    images.n = 0;
    assert_int_equal(disk_store_images(w->store, w->a, &images), 0);
    assert_int_equal(images.n, 1);
    assert_int_equal(disk_store_prune(w->store, -SECONDS(2)), 0);
    images.n = 0;
    assert_int_equal(disk_store_images(w->store, w->a, &images), 0);
    assert_int_equal(images.n, 0);
    assert_int_equal(disk_store_clean(w->store), 0);
    assert_false(file_exists(copy));
}

static void rescue(void **state)
{
    struct world *w = *state;
    struct fault f = { 0 };
    struct server_spec *s;
    w->spec.config_drive = false;
    w->spec.rescue = true;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
    struct server_disk *r = by_kind(s, DISK_RESCUE), *root = by_kind(s, DISK_ROOT);
    assert_non_null(r);
    assert_int_equal(r->boot_index, 0);
    assert_int_equal(root->boot_index, -1);
    assert_string_equal(r->device, "vda");
    assert_null(root->device);
    assert_int_equal(files_of(w, "srv"), 5);
    w->spec.rescue = false;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
    assert_null(by_kind(s, DISK_RESCUE));
    assert_int_equal(files_of(w, "srv"), 3);
}

/* Images that are not what they say. */
static void bad_images(void **state)
{
    struct world *w = *state;
    struct fault f = { 0 };
    struct server_spec *s;
    const char *path;
    w->hash[0] = w->hash[0] == '0' ? '1' : '0';
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
    assert_string_equal(f.type, "ImageHashMismatch");
    hash_file(w);
    w->spec_image.size = 5;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
    assert_string_equal(f.type, "ImageHashMismatch");
    w->spec_image.size = 0;
    w->spec_image.disk_format = "vmdk";
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
    assert_string_equal(f.type, "ImageUnacceptable");
    w->spec_image.disk_format = "../x";
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
    assert_string_equal(f.type, "ImageUnacceptable");
    w->spec_image.disk_format = "qcow2";

    /* A qcow2 that names another file of this host. */
    unlink(w->image);
    assert_int_equal(qemu_img_create(w->image, "qcow2", MIB, "/etc/passwd", "raw", &f), 0);
    hash_file(w);
    assert_int_equal(disk_store_image(w->store, &w->spec_image, w->a, &path, NULL, &f), FAULT);
    assert_string_equal(f.type, "ImageUnacceptable");

    /* Too big for the flavor. */
    unlink(w->image);
    assert_int_equal(qemu_img_create(w->image, "qcow2", 2 * GIB, NULL, NULL, &f), 0);
    hash_file(w);
    w->spec.root_gb = 1;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
    assert_string_equal(f.type, "FlavorDiskSmallerThanImage");
    /* Nothing lies around but the good image in the cache. */
    struct strv names = { 0 };
    assert_int_equal(dir_names(arena_printf(w->a, "%s/store/images", w->dir), w->a, &names), 0);
    assert_int_equal(names.n, 1);
}

/* Every step fails once; the next pass makes it whole, and no file in the making stays. */
static void any_fault(void **state)
{
    struct world *w = *state;
    struct server_spec *s;
    struct fault f;
    int n = 1;
    for (;; n++) {
        assert_int_equal(disk_store_remove(w->store, "srv"), 0);
        assert_int_equal(disk_store_prune(w->store, -SECONDS(2)), 0);
        effect_fail_at(n, -EIO);
        int r = disk_store_prepare(w->store, &w->spec, w->a, &s, &f);
        bool fired = effect_fired();
        effect_fail_at(0, 0);
        if (!fired) {
            assert_int_equal(r, 0);
            break;
        }
        assert_true(r < 0);
        assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
        assert_int_equal(files_of(w, "srv"), 4);
        assert_true(n < 100);
    }
    assert_true(n > 5);
}

static void *bring(void *arg)
{
    struct world *w = arg;
    struct fault f;
    const char *path;
    struct arena *a = arena_new(0);
    intptr_t r = disk_store_image(w->store, &w->spec_image, a, &path, NULL, &f);
    arena_free(a);
    return (void *)r;
}

/* Whoever asks while an image is on its way waits for it. */
static void one_fetch_for_all(void **state)
{
    struct world *w = *state;
    pthread_t threads[8];
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, bring, w), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *r;
        pthread_join(threads[i], &r);
        assert_null(r);
    }
    assert_int_equal(w->fetches, 1);
}

static void config_drive(void **state)
{
    struct world *w = *state;
    struct server_spec *s = spec_load("guest", w->a);
    const char *path = arena_printf(w->a, "%s/cd.iso", w->dir);
    assert_int_equal(config_drive_write(s, path), 0);
    char label[33] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, label, 32, 16 * 2048 + 40), 32);
    close(fd);
    assert_string_equal(label, "config-2                        ");

    _cleanup_(buf_done) struct buf listing = BUF_MAX(1 << 16);
    struct archive *ar = archive_read_new();
    archive_read_support_format_iso9660(ar);
    assert_int_equal(archive_read_open_filename(ar, path, 10240), ARCHIVE_OK);
    struct archive_entry *e;
    bool user = false;
    while (archive_read_next_header(ar, &e) == ARCHIVE_OK) {
        if (archive_entry_filetype(e) != AE_IFREG)
            continue;
        buf_printf(&listing, "%s\n", archive_entry_pathname(e));
        if (STREQ(archive_entry_pathname(e), "openstack/latest/user_data")) {
            char text[64] = "";
            assert_int_equal(archive_read_data(ar, text, sizeof(text)), 18);
            assert_string_equal(text, "#!/bin/sh\necho hi\n");
            user = true;
        }
    }
    archive_read_free(ar);
    assert_true(user);
    static const char *const WANT[] = {
        "ec2/latest/meta-data.json\n",
        "ec2/latest/user-data\n",
        "openstack/content/0000\n",
        "openstack/latest/meta_data.json\n",
        "openstack/latest/network_data.json\n",
        "openstack/latest/user_data\n",
        "openstack/latest/vendor_data.json\n",
        "openstack/latest/vendor_data2.json\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(WANT); i++)
        assert_non_null(strstr(buf_text(&listing), WANT[i]));
}

static void formatted(void **state)
{
    struct world *w = *state;
    struct fault f = { 0 };
    struct server_spec *s;
    w->spec.swap_mb = 0;
    struct server_disk d = { .id = "ephemeral0",
                             .kind = DISK_EPHEMERAL,
                             .boot_index = -1,
                             .size_bytes = 4 * MIB,
                             .guest_format = "ext4" };
    w->spec.disks.v = &d;
    w->spec.disks.n = 1;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), 0);
    int fd = open(by_kind(s, DISK_EPHEMERAL)->source->path, O_RDONLY | O_CLOEXEC);
    unsigned char magic[2];
    assert_int_equal(pread(fd, magic, 2, 1024 + 56), 2);
    close(fd);
    assert_int_equal(magic[0] | magic[1] << 8, 0xef53);
    d.id = "ephemeral1";
    d.guest_format = "zfs; rm";
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
    d.id = "../evil";
    d.guest_format = NULL;
    assert_int_equal(disk_store_prepare(w->store, &w->spec, w->a, &s, &f), FAULT);
}

static void volumes(void **state)
{
    struct world *w = *state;
    static const char *const FORMATS[] = { "qcow2", "raw" };
    for (size_t i = 0; i < ARRAY_SIZE(FORMATS); i++) {
        struct volume_driver_config c = { .name = "test", .format = FORMATS[i] };
        c.path = arena_printf(w->a, "%s/volumes-%s", w->dir, FORMATS[i]);
        volume_conformance(&VOLUME_DRIVER_DIR, &c, w->dir);
    }
    assert_null(volume_driver_find("nothing"));
    assert_ptr_equal(volume_driver_find("dir"), &VOLUME_DRIVER_DIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(server_disks, setup, teardown),
        cmocka_unit_test_setup_teardown(rescue, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_images, setup, teardown),
        cmocka_unit_test_setup_teardown(any_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(one_fetch_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(config_drive, setup, teardown),
        cmocka_unit_test_setup_teardown(formatted, setup, teardown),
        cmocka_unit_test_setup_teardown(volumes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
