/*
 * The libvirt driver and the disk store with a real guest: the shared contract, and what only
 * a real one shows. Run by tests/e2e/hypervisor_real, which starts a private libvirtd.
 *
 *     hypervisor-real IMAGE.qcow2 FOLDER TAP LIBVIRTD-RESTART-SCRIPT
 */
#include "hypervisor_contract.h"

#include "base/process.h"
#include "host/disk/disk_store.h"
#include "host/disk/qemu_img.h"
#include "host/disk/volume_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

static const char *image_path, *folder, *tap, *restart;
static struct disk_store *store;
static struct hypervisor *hv;
static struct contract world;
static struct arena *mem;
static struct server_spec want, *spec;

enum { MIB = 1 << 20 };

static int fetch(void *cookie _unused_, const struct server_image *image _unused_, int fd,
                 struct fault *fault _unused_)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return file_copy(image_path, path);
}

static int64_t since(usec_t from)
{
    return (clock_mono() - from) / USEC_PER_MSEC;
}

/* What the last call had to say. */
static struct fault f;
static void good(int r, const char *what)
{
    if (r)
        fail_msg("%s: %d %s", what, r, r > 0 ? f.message : "");
}
#define GOOD(call) good((call), #call)

static void prepare(void **state _unused_)
{
    static struct server_image image = { .id = "11111111-1111-4111-8111-111111111111",
                                         .disk_format = "qcow2" };
    static struct server_nic nic;
    nic = (struct server_nic){ .port_id = "22222222-1111-4111-8111-111111111111",
                               .mac = "fa:16:3e:aa:00:01",
                               .tap = tap };
    static struct server_key key = { "k", "ssh-ed25519 AAAA test", "ssh" };
    want = (struct server_spec){
        .id = "4a4a4a4a-1111-4111-8111-111111111111",
        .name = "e2e <&> guest",
        .hostname = "e2e-guest",
        .vcpus = 1,
        .memory_mb = 128,
        .image = &image,
        .config_drive = true,
        .flavor_name = "tiny",
        /* "echo user data runs" */
        .user_data = "IyEvYmluL3NoCmVjaG8gdXNlciBkYXRhIHJ1bnMK",
    };
    want.nics.v = &nic;
    want.nics.n = 1;
    want.keys.v = &key;
    want.keys.n = 1;
    usec_t t = clock_mono();
    GOOD(disk_store_prepare(store, &want, mem, &spec, &f));
    printf("# disks prepared in %lld ms\n", (long long)since(t));
    world.spec = spec;
}

static void facts(void **state _unused_)
{
    struct host_facts h;
    usec_t t = clock_mono();
    assert_int_equal(hv->class->facts(hv, mem, &h), 0);
    printf("# facts in %lld ms: %s %lld, %s (%s), %lld vcpus, %lld MiB, spice %d uefi %d tpm %d\n",
           (long long)since(t), h.hypervisor_type, (long long)h.hypervisor_version, h.accel,
           str_or(h.accel_reason, "works"), (long long)h.vcpus, (long long)h.memory_mb, h.spice, h.uefi,
           h.tpm);
    assert_string_equal(h.hypervisor_type, "QEMU");
    assert_true(h.memory_mb > 0 && h.vcpus > 0 && h.disk_gb > 0);
}

static void keeps_the_contract(void **state _unused_)
{
    static struct disk_source src = { .driver = "file", .format = "raw" };
    static struct server_disk disk = {
        .id = "33333333-1111-4111-8111-111111111111", .kind = DISK_VOLUME, .boot_index = -1, .source = &src
    };
    char path[256];
    snprintf(path, sizeof(path), "%s/extra.raw", folder);
    assert_int_equal(file_make(path, 8 * MIB), 0);
    src.path = path;
    world.extra_disk = &disk;
    hypervisor_contract(&world);
    world.extra_disk = NULL;
    unlink(path);
}

/* The rest uses one guest that stays up. */
static void boots_with_its_data(void **state _unused_)
{
    usec_t t = clock_mono();
    GOOD(hv->class->define(hv, spec, &f));
    printf("# defined in %lld ms\n", (long long)since(t));
    GOOD(hv->class->start(hv, spec->id, &f));
    printf("# defined and started in %lld ms\n", (long long)since(t));
    contract_wait_console(&world, "TINYCLOUD-READY", 1);
    printf("# ready in %lld ms\n", (long long)since(t));
    contract_wait_console(&world, "source=config-drive", 1);
    contract_wait_console(&world, "instance=4a4a4a4a-1111-4111-8111-111111111111 hostname=e2e-guest", 1);
}

static bool progress(void *cookie, int percent)
{
    *(int *)cookie = percent;
    return true;
}

static void live_copy_leaves_the_base_alone(void **state _unused_)
{
    struct stat before, after;
    char base[512], copy[512];
    struct image_facts facts_;
    int seen = -1;
    snprintf(base, sizeof(base), "%s/store/instances/%s/base-0", folder, spec->id);
    assert_int_equal(stat(base, &before), 0);
    const char *path = disk_store_scratch(store, "copy", mem);
    snprintf(copy, sizeof(copy), "%s", path);
    usec_t t = clock_mono();
    GOOD(hv->class->snapshot_disk(hv, spec->id, "root", copy, "qcow2", true, progress, &seen, &f));
    printf("# live copy in %lld ms\n", (long long)since(t));
    assert_int_equal(qemu_img_info(copy, "qcow2", mem, &facts_, &f), 0);
    assert_false(facts_.refers);
    assert_true(facts_.actual_size > 8 * MIB);
    assert_int_equal(stat(base, &after), 0);
    assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(after.st_nlink, 2);
    /* The guest still lies on its base, not on anything else. */
    assert_int_equal(qemu_img_info(server_spec_disk(spec, "root")->source->path, "qcow2", mem, &facts_, &f),
                     0);
    assert_string_equal(facts_.backing, "base-0");
    unlink(copy);
}

static void inside_the_guest(void **state _unused_)
{
    char path[256];
    const char *mime = NULL;
    GOOD(hv->class->set_password(hv, spec->id, "root", "Secret-1", &f));
    snprintf(path, sizeof(path), "%s/screen", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    GOOD(hv->class->screenshot(hv, spec->id, fd, &mime, &f));
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    printf("# screen: %s, %lld bytes\n", mime, (long long)st.st_size);
    assert_true(st.st_size > 100);
    close(fd);
    unlink(path);
    GOOD(hv->class->inject_nmi(hv, spec->id, &f));
}

static void disk_grows_live(void **state _unused_)
{
    struct image_facts facts_;
    GOOD(hv->class->extend_disk(hv, spec->id, "root", 256 * (int64_t)MIB, &f));
    assert_int_equal(qemu_img_info(server_spec_disk(spec, "root")->source->path, "qcow2", mem, &facts_, &f),
                     0);
    assert_int_equal(facts_.virtual_size, 256 * MIB);
    /* Ours to grow it is only when nobody has it open. */
    assert_int_equal(
        qemu_img_grow(server_spec_disk(spec, "root")->source->path, "qcow2", 512 * (int64_t)MIB, &f), FAULT);
    assert_int_equal(f.status, 409);
}

static void libvirtd_is_killed(void **state _unused_)
{
    struct domain_info info = { 0 };
    int resyncs = world.events[DOMAIN_EVENT_RESYNC];
    assert_int_equal(process_run(&(struct process){ .argv = ARGV(restart) }), 0);
    int r = -ENOTCONN;
    for (usec_t end = clock_mono() + SECONDS(60); clock_mono() < end;) {
        r = hv->class->observe(hv, spec->id, mem, &info);
        if (r == 0)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    }
    assert_int_equal(r, 0);
    assert_int_equal(info.state, DOMAIN_RUNNING);
    contract_wait_event(&world, DOMAIN_EVENT_RESYNC, resyncs + 1);
}

static void guest_powers_itself_off(void **state _unused_)
{
    int stopped = world.events[DOMAIN_EVENT_STOPPED];
    /* As a user inside would: the guest's own shutdown, of which we are only told. */
    char name[128];
    snprintf(name, sizeof(name), "yun-%s", spec->id);
    assert_int_equal(process_run(&(struct process){ .argv = ARGV("virsh", "-q", "shutdown", name) }), 0);
    contract_wait_event(&world, DOMAIN_EVENT_STOPPED, stopped + 1);
    assert_int_equal(contract_state(&world), DOMAIN_SHUTOFF);
    /* A copy of the stopped disk is made without a hypervisor. */
    const char *copy = disk_store_scratch(store, "cold", mem);
    GOOD(disk_store_snapshot(store, server_spec_disk(spec, "root"), copy, "qcow2", &f));
    unlink(copy);
}

static void emulator_is_killed(void **state _unused_)
{
    int stopped = world.events[DOMAIN_EVENT_STOPPED];
    GOOD(hv->class->start(hv, spec->id, &f));
    char path[256], text[32] = "";
    snprintf(path, sizeof(path), "/run/libvirt/qemu/yun-%s.pid", spec->id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 1);
    text[strcspn(text, "\n")] = '\0';
    assert_int_equal(process_run(&(struct process){ .argv = ARGV("kill", "-9", text) }), 0);
    contract_wait_event(&world, DOMAIN_EVENT_STOPPED, stopped + 1);
    enum domain_state s = contract_state(&world);
    assert_true(s == DOMAIN_CRASHED || s == DOMAIN_SHUTOFF);
    GOOD(hv->class->start(hv, spec->id, &f));
    assert_int_equal(contract_state(&world), DOMAIN_RUNNING);
}

/* What images and flavors ask for is accepted by the emulator, not only by our tests. */
static void variants(void **state _unused_)
{
    static const struct {
        const char *key, *value; /* an extra spec with a colon, else an image property */
        bool boots;
    } ROWS[] = {
        { "hw_machine_type", "q35", true },   { "hw_disk_bus", "scsi", true },
        { "hw_disk_bus", "ide", false },      { "hw_video_model", "vga", false },
        { "hw_video_model", "none", false },  { "hw_pointer_model", "usbtablet", false },
        { "hw_vif_model", "e1000", false },   { "hw:watchdog_action", "reset", false },
        { "hw:numa_nodes", "2", false },      { "hw:cpu_sockets", "2", false },
        { "quota:cpu_shares", "512", false }, { "quota:disk_total_iops_sec", "1000", false },
        { "hw:boot_menu", "true", false },    { "hw_rng:rate_bytes", "4096", false },
        { "os_type", "windows", false },
    };
    assert_int_equal(hv->class->destroy(hv, spec->id), 0);
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct server_spec s = *spec;
        struct server_image image = *spec->image;
        s.vcpus = 2;
        s.image = &image;
        strmap_set(mem, strchr(ROWS[i].key, ':') ? &s.extra_specs : &image.properties, ROWS[i].key,
                   ROWS[i].value);
        /* This guest's kernel has no AHCI, so its config drive goes elsewhere there. */
        if (STREQ(ROWS[i].value, "q35"))
            strmap_set(mem, &image.properties, "hw_cdrom_bus", "scsi");
        printf("# %s=%s\n", ROWS[i].key, ROWS[i].value);
        GOOD(hv->class->define(hv, &s, &f));
        usec_t t = clock_mono();
        GOOD(hv->class->start(hv, s.id, &f));
        printf("# started in %lld ms\n", (long long)since(t));
        if (ROWS[i].boots)
            contract_wait_console(&world, "source=config-drive", 1);
        assert_int_equal(contract_state(&world), DOMAIN_RUNNING);
        assert_int_equal(hv->class->destroy(hv, s.id), 0);
    }
}

static void nothing_is_left(void **state _unused_)
{
    char path[512];
    assert_int_equal(hv->class->destroy(hv, spec->id), 0);
    assert_int_equal(disk_store_remove(store, spec->id), 0);
    struct domain_list l = { 0 };
    struct strv names = { 0 };
    assert_int_equal(hv->class->list(hv, mem, &l), 0);
    assert_int_equal(l.n, 0);
    assert_int_equal(disk_store_list(store, mem, &names), 0);
    snprintf(path, sizeof(path), "%s/console", folder);
    assert_int_equal(dir_names(path, mem, &names), 0);
    snprintf(path, sizeof(path), "%s/serial", folder);
    assert_int_equal(dir_names(path, mem, &names), 0);
    assert_int_equal(names.n, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),
        cmocka_unit_test(prepare),
        cmocka_unit_test(keeps_the_contract),
        cmocka_unit_test(boots_with_its_data),
        cmocka_unit_test(live_copy_leaves_the_base_alone),
        cmocka_unit_test(inside_the_guest),
        cmocka_unit_test(disk_grows_live),
        cmocka_unit_test(libvirtd_is_killed),
        cmocka_unit_test(guest_powers_itself_off),
        cmocka_unit_test(emulator_is_killed),
        cmocka_unit_test(variants),
        cmocka_unit_test(nothing_is_left),
    };
    if (argc != 5) {
        fprintf(stderr, "usage: %s IMAGE FOLDER TAP RESTART-SCRIPT\n", argv[0]);
        return 2;
    }
    image_path = argv[1];
    folder = argv[2];
    tap = argv[3];
    restart = argv[4];
    mem = arena_new(0);
    world = (struct contract){ .ready = "TINYCLOUD-READY", .patience = SECONDS(120) };
    struct disk_store_config dc = { .dir = arena_printf(mem, "%s/store", folder), .fetch = fetch };
    struct hypervisor_config hc = {
        .host_name = "e2e",
        .run_dir = arena_printf(mem, "%s/serial", folder),
        .log_dir = arena_printf(mem, "%s/console", folder),
        .data_dir = folder,
        .on_event = contract_event,
        .cookie = &world,
        .spice = true,
    };
    int r = disk_store_open(&dc, &store, &f);
    if (r == 0)
        r = HYPERVISOR_LIBVIRT.open(&hc, &hv, &f);
    if (r) {
        fprintf(stderr, "can't begin: %d %s\n", r, f.message);
        return 1;
    }
    world.hv = hv;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    hypervisor_close(hv);
    disk_store_close(store);
    arena_free(mem);
    return r;
}
