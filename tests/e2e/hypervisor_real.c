/*
 * The libvirt driver and the disk store with a real guest: the shared contract, and what only
 * a real one shows. Run by tests/e2e/hypervisor_real, which starts a private libvirtd.
 *
 *     hypervisor-real IMAGE.qcow2 FOLDER TAP TAP2 LIBVIRTD-RESTART-SCRIPT URI1 URI2
 */
#include "hypervisor_contract.h"

#include "base/process.h"
#include "host/disk/disk_store.h"
#include "host/disk/qemu_img.h"
#include "host/disk/volume_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

static const char *image_path, *folder, *tap, *tap2, *restart, *uri1, *uri2;
static struct disk_store *store;
static struct hypervisor_config config;
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

static _Atomic bool asking;
static void *ask(void *arg _unused_)
{
    while (asking) {
        _cleanup_(arena_freep) struct arena *a = arena_new(0);
        struct domain_info info;
        (void)hv->class->observe(hv, spec->id, a, &info);
    }
    return NULL;
}

/* Killed while many ask: all of them get an answer again, and the guest runs on. */
static void libvirtd_is_killed(void **state _unused_)
{
    pthread_t threads[4];
    for (int round = 0; round < 3; round++) {
        struct domain_info info = { 0 };
        int resyncs = world.events[DOMAIN_EVENT_RESYNC];
        asking = true;
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
        assert_int_equal(process_run(&(struct process){ .argv = ARGV(restart) }), 0);
        int r = -ENOTCONN;
        for (usec_t end = clock_mono() + SECONDS(60); r && clock_mono() < end;) {
            r = hv->class->observe(hv, spec->id, mem, &info);
            nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
        }
        asking = false;
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(r, 0);
        assert_int_equal(info.state, DOMAIN_RUNNING);
        contract_wait_event(&world, DOMAIN_EVENT_RESYNC, resyncs + 1);
    }
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

static int virsh_agent(const char *uri, const char *command, char *out, size_t size)
{
    char name[128];
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    snprintf(name, sizeof(name), "yun-%s", spec->id);
    int r = process_run(&(struct process){
        .argv = ARGV("virsh", "-q", "-c", uri, "qemu-agent-command", name, command), .output = &b });
    snprintf(out, size, "%s", buf_text(&b));
    return r;
}

/* An agent was killed between freezing and thawing: the next one thaws. */
static void frozen_guest_is_thawed(void **state _unused_)
{
    char path[256], text[256];
    assert_int_equal(
        virsh_agent("qemu:///system", "{\"execute\": \"guest-fsfreeze-freeze\"}", text, sizeof(text)), 0);
    snprintf(path, sizeof(path), "%s/serial/%s.frozen", folder, spec->id);
    assert_int_equal(file_make(path, 0), 0);
    hypervisor_close(hv);
    assert_int_equal(HYPERVISOR_LIBVIRT.open(&config, &hv, &f), 0);
    world.hv = hv;
    assert_int_equal(contract_state(&world), DOMAIN_RUNNING);
    assert_false(file_exists(path));
    assert_int_equal(
        virsh_agent("qemu:///system", "{\"execute\": \"guest-fsfreeze-status\"}", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "thawed"));
}

static void alive_at(const char *uri)
{
    char text[256];
    int r = -1;
    for (int i = 0; i < 50 && r; i++) {
        r = virsh_agent(uri, "{\"execute\": \"guest-ping\"}", text, sizeof(text));
        if (r)
            nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    }
    assert_int_equal(r, 0);
}

/* To a host with another folder and another tap, with its local disk, and back. */
static void moves_live(void **state _unused_)
{
    struct hypervisor_config there = config;
    struct hypervisor *other = NULL;
    struct disk_store *store2 = NULL;
    struct domain_info info;
    struct server_spec *s;
    struct disk_store_config dc = { .dir = arena_printf(mem, "%s/store2", folder), .fetch = fetch };
    struct image_facts facts_;
    there.uri = uri2;
    there.host_name = "e2e-other";
    there.on_event = NULL;
    assert_int_equal(disk_store_open(&dc, &store2, &f), 0);
    want.disks = (__typeof__(want.disks)){ 0 };
    GOOD(disk_store_prepare(store2, &want, mem, &s, &f));
    const char *path = server_spec_disk(s, "root")->source->path;
    GOOD(qemu_img_grow(path, "qcow2", 256 * (int64_t)MIB, &f)); /* as large as it has become here */
    struct server_nic nic = spec->nics.v[0];
    nic.tap = tap2;
    s->nics.v = &nic;
    s->nics.n = 1;
    assert_int_equal(HYPERVISOR_LIBVIRT.open(&there, &other, &f), 0);
    GOOD(other->class->expect(other, s, &f));
    struct migrate_target target = { .uri = uri2, .address = "127.0.0.1", .spec = s, .block = true };
    int seen = -1;
    usec_t t = clock_mono();
    GOOD(hv->class->migrate(hv, spec->id, &target, progress, &seen, &f));
    printf("# moved with its disk in %lld ms\n", (long long)since(t));
    assert_int_equal(contract_state(&world), DOMAIN_ABSENT);
    assert_int_equal(other->class->observe(other, spec->id, mem, &info), 0);
    assert_int_equal(info.state, DOMAIN_RUNNING);
    assert_string_equal(info.nics.v[0].tap, tap2);
    assert_string_equal(info.disks.v[0].id, "root");
    assert_string_equal(info.disks.v[0].source, path);
    /* What came is the top layer; below is the image that was there already. */
    assert_int_equal(qemu_img_info(path, "qcow2", mem, &facts_, &f), 0);
    assert_string_equal(facts_.backing, "base-0");
    assert_true(facts_.actual_size < 64 * MIB);
    alive_at(uri2);

    /* Back, standing still on the way; the disk is where both reach it. */
    nic.tap = tap;
    target = (struct migrate_target){ .uri = uri1, .address = "127.0.0.1", .spec = s, .paused = true };
    t = clock_mono();
    GOOD(other->class->migrate(other, spec->id, &target, NULL, NULL, &f));
    printf("# moved standing still in %lld ms\n", (long long)since(t));
    assert_int_equal(contract_state(&world), DOMAIN_RUNNING);
    assert_int_equal(other->class->observe(other, spec->id, mem, &info), 0);
    assert_int_equal(info.state, DOMAIN_ABSENT);
    alive_at(uri1);
    hypervisor_close(other);
    /* From here on it lives in that folder. */
    disk_store_remove(store, spec->id);
    disk_store_close(store);
    store = store2;
    nic.tap = tap;
    spec = s;
    spec->nics = want.nics;
    world.spec = spec;
}

/* What images and flavors ask for is accepted by the emulator, not only by our tests. */
static void variants(void **state _unused_)
{
    static const struct {
        const char *key, *value; /* an extra spec with a colon, else an image property */
        bool boots;
        size_t needs; /* offset of a flag in host_facts; 0: nothing */
    } ROWS[] = {
        { "hw_machine_type", "q35", true },
        { "hw_disk_bus", "scsi", true },
        { "hw_disk_bus", "ide", false },
        { "hw_video_model", "vga", false },
        { "hw_video_model", "none", false },
        { "hw_pointer_model", "usbtablet", false },
        { "hw_vif_model", "e1000", false },
        { "hw:watchdog_action", "reset", false },
        { "hw:numa_nodes", "2", false },
        { "hw:cpu_sockets", "2", false },
        { "quota:cpu_shares", "512", false },
        { "quota:disk_total_iops_sec", "1000", false },
        { "hw:boot_menu", "true", false },
        { "hw_rng:rate_bytes", "4096", false },
        { "os_type", "windows", false },
        { "hw_firmware_type", "uefi", false, offsetof(struct host_facts, uefi) },
        { "os:secure_boot", "required", false, offsetof(struct host_facts, secure_boot) },
        { "hw:tpm_version", "2.0", false, offsetof(struct host_facts, tpm) },
    };
    assert_int_equal(hv->class->destroy(hv, spec->id), 0);
    struct host_facts h;
    assert_int_equal(hv->class->facts(hv, mem, &h), 0);
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        if (ROWS[i].needs && !*(const bool *)((const char *)&h + ROWS[i].needs)) {
            printf("# not on this host: %s=%s\n", ROWS[i].key, ROWS[i].value);
            continue;
        }
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
        GOOD(hv->class->define(hv, &s, &f));
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
        cmocka_unit_test(frozen_guest_is_thawed),
        cmocka_unit_test(moves_live),
        cmocka_unit_test(libvirtd_is_killed),
        cmocka_unit_test(guest_powers_itself_off),
        cmocka_unit_test(emulator_is_killed),
        cmocka_unit_test(variants),
        cmocka_unit_test(nothing_is_left),
    };
    if (argc != 8) {
        fprintf(stderr, "usage: %s IMAGE FOLDER TAP TAP2 RESTART-SCRIPT URI2\n", argv[0]);
        return 2;
    }
    image_path = argv[1];
    folder = argv[2];
    tap = argv[3];
    tap2 = argv[4];
    restart = argv[5];
    uri1 = argv[6]; /* of the daemons, as the other one sees it */
    uri2 = argv[7];
    mem = arena_new(0);
    world = (struct contract){ .ready = "TINYCLOUD-READY", .patience = SECONDS(120) };
    struct disk_store_config dc = { .dir = arena_printf(mem, "%s/store", folder), .fetch = fetch };
    config = (struct hypervisor_config){
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
        r = HYPERVISOR_LIBVIRT.open(&config, &hv, &f);
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
