/* Domain XML: each spec in golden/ gives the XML beside it. A change of what libvirt is told is
 * a diff in review. GOLDEN_UPDATE=1 in the environment writes the files anew. */
#include "host/hypervisor/libvirt_driver.h"

#include "golden.h"

#include <fcntl.h>
#include <libxml/parser.h>
#include <sys/stat.h>

static const struct domain_host TCG = {
    .host_name = "host1",
    .name_prefix = "yun-",
    .run_dir = "/run/yunduo/serial",
    .log_dir = "/var/lib/yunduo/console",
    .console_host = "127.0.0.1",
    .arch = "x86_64",
    .tcg_cache_mb = 32,
    .machine = "pc",
    .cpu_mode = "host-model",
};

static const struct domain_host KVM = {
    .host_name = "host1",
    .name_prefix = "yun-",
    .run_dir = "/run/yunduo/serial",
    .log_dir = "/var/lib/yunduo/console",
    .console_host = "127.0.0.1",
    .arch = "x86_64",
    .tcg_cache_mb = 32,
    .machine = "pc",
    .cpu_mode = "host-model",
    .kvm = true,
    .uefi = true,
    .secure_boot = true,
    .tpm = true,
    .spice = true,
    .virtio_vga = true,
    .emulator = "/usr/bin/qemu-system-x86_64",
};

static void golden(const char *name, const struct domain_host *h)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(freep) char *xml = NULL;
    struct fault fault;
    struct server_spec *s = spec_load(name, a);
    assert_int_equal(domain_xml(s, h, a, &xml, &fault), 0);
    char file[128];
    snprintf(file, sizeof(file), "%s.xml", name);
    assert_golden(file, xml);
    /* What comes out can be read again, whatever was put in. */
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    xmlFreeDoc(doc);
}

static void minimal(void **state _unused_)
{
    golden("minimal-tcg", &TCG);
}

static void everything(void **state _unused_)
{
    golden("kvm-everything", &KVM);
}

static void volumes(void **state _unused_)
{
    golden("volumes", &TCG);
}

static void hostile(void **state _unused_)
{
    golden("hostile", &TCG);
}

static void refused(void **state _unused_)
{
    static const struct {
        const char *key, *value, *type;
    } ROWS[] = {
        { "os:secure_boot", "required", "UEFINotSupported" },
        { "hw:tpm_version", "2.0", "TPMNotSupported" },
        { "hw:cpu_sockets", "3", "ImageVCPUTopologyRangeExceeded" },
        { "hw:numa_nodes", "9", "ImageNUMATopologyCPUsUnassigned" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(0);
        struct fault fault = { 0 };
        char *xml = NULL;
        struct server_spec s = { .id = "i", .vcpus = 4, .memory_mb = 64 };
        strmap_set(a, &s.extra_specs, ROWS[i].key, ROWS[i].value);
        assert_int_equal(domain_xml(&s, &TCG, a, &xml, &fault), FAULT);
        assert_string_equal(fault.type, ROWS[i].type);
        assert_null(xml);
    }
}

/* KVM and TCG: the type is ours to say, and TCG never goes without a bound on its cache. */
static void acceleration(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct fault fault;
    struct server_spec s = { .id = "11111111-2222-4333-8444-555555555555", .vcpus = 1, .memory_mb = 64 };
    _cleanup_(freep) char *tcg = NULL;
    _cleanup_(freep) char *kvm = NULL;
    assert_int_equal(domain_xml(&s, &TCG, a, &tcg, &fault), 0);
    assert_non_null(strstr(tcg, "<domain type=\"qemu\">"));
    assert_non_null(strstr(tcg, "<tb-cache unit=\"MiB\">32</tb-cache>"));
    assert_int_equal(domain_xml(&s, &KVM, a, &kvm, &fault), 0);
    assert_non_null(strstr(kvm, "<domain type=\"kvm\">"));
    assert_null(strstr(kvm, "tb-cache"));
}

/* Anybody can make an image: it can't lock the host's memory or take its huge pages. */
static void images_take_no_memory(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct fault fault;
    struct server_image image = { .id = "i" };
    struct server_spec s = { .id = "11111111-2222-4333-8444-555555555555", .vcpus = 1, .memory_mb = 64, .image = &image };
    _cleanup_(freep) char *plain = NULL;
    _cleanup_(freep) char *open = NULL;
    strmap_set(a, &image.properties, "hw_locked_memory", "true");
    strmap_set(a, &image.properties, "hw_cpu_realtime", "yes");
    strmap_set(a, &image.properties, "hw_mem_page_size", "1GB");
    assert_int_equal(domain_xml(&s, &KVM, a, &plain, &fault), 0);
    assert_null(strstr(plain, "<locked/>"));
    assert_null(strstr(plain, "<hugepages>"));
    strmap_set(a, &s.extra_specs, "hw:mem_page_size", "any");
    assert_int_equal(domain_xml(&s, &KVM, a, &open, &fault), 0);
    assert_non_null(strstr(open, "<page size=\"1048576\" unit=\"KiB\"/>"));
}

static void device_names(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct disk_names names = { 0 };
    assert_string_equal(disk_name_choose(&names, "/dev/vdb", "virtio", a), "vdb");
    assert_string_equal(disk_name_choose(&names, NULL, "virtio", a), "vda");
    assert_string_equal(disk_name_choose(&names, "vdb", "virtio", a), "vdc"); /* taken */
    assert_string_equal(disk_name_choose(&names, "vdd", "scsi", a), "sdd");   /* letter kept */
    assert_string_equal(disk_name_choose(&names, "xvde", "virtio", a), "vde");
    for (int i = 0; i < 22; i++)
        assert_non_null(disk_name_choose(&names, NULL, "virtio", a));
    assert_string_equal(disk_name_choose(&names, NULL, "virtio", a), "vdaa");
}

static void hotplug(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct fault fault;
    _cleanup_(freep) char *disk = NULL;
    _cleanup_(freep) char *nic = NULL;
    struct disk_source src = { .driver = "file", .format = "qcow2", .path = "/nonexistent/v" };
    struct server_disk d = { .id = "vol-1", .kind = DISK_VOLUME, .boot_index = 0, .source = &src };
    assert_int_equal(disk_xml(&d, "vdb", "virtio", &TCG, a, &disk, &fault), 0);
    assert_null(strstr(disk, "<boot"));
    assert_non_null(strstr(disk, "<alias name=\"ua-disk-vol-1\"/>"));
    struct server_nic n = { .port_id = "p", .mac = "fa:16:3e:00:00:01", .tap = "yt1" };
    assert_int_equal(nic_xml(&n, NULL, &TCG, &nic, &fault), 0);
    assert_non_null(strstr(nic, "<target dev=\"yt1\" managed=\"no\"/>"));
    src.driver = "floppy";
    char *none = NULL;
    assert_int_equal(disk_xml(&d, "vdb", "virtio", &TCG, a, &none, &fault), FAULT);
}

/* What has no influence on the machine has none on the fingerprint. */
static void fingerprint(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct server_spec *s = spec_load("minimal-tcg", a);
    const char *was = hypervisor_fingerprint(s, a);
    s->reboot_hard++;
    s->name = "other";
    s->power = POWER_SHUTOFF;
    strmap_set(a, &s->metadata, "k", "v");
    assert_string_equal(hypervisor_fingerprint(s, a), was);
    s->memory_mb *= 2;
    assert_string_not_equal(hypervisor_fingerprint(s, a), was);
    s->memory_mb /= 2;
    s->nics.v[0].mtu++;
    assert_string_not_equal(hypervisor_fingerprint(s, a), was);
}

/* A spec survives the wire, secrets included. */
static void wire(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct server_spec *s = spec_load("volumes", a);
    s->admin_password = "geheim";
    s->revision = 77;
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 20);
    struct json_out out = JSON_OUT(&b);
    schema_encode(&SERVER_SPEC_SCHEMA, s, &(struct encode_options){ .stored = true }, &out);
    char error[256];
    json_t *j = json_parse(b.data, b.len, error, sizeof(error));
    assert_non_null(j);
    struct server_spec back = { 0 };
    struct decode_error e;
    assert_int_equal(schema_decode(&SERVER_SPEC_SCHEMA, j, DECODE_STORED, 0, a, &back, NULL, &e), 0);
    json_decref(j);
    assert_true(schema_equal(&SERVER_SPEC_SCHEMA, s, &back));
    assert_string_equal(back.admin_password, "geheim");
    assert_string_equal(back.disks.v[0].source->secret, "QUJD");
    assert_int_equal(back.disks.v[0].qos->total_iops, 100);
}

static void kvm_needs_more_than_a_device(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct cpu_facts cpu;
    char path[] = "/tmp/cpuinfo-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const char text[] = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some CPU @ 2GHz\n"
                        "flags\t\t: fpu sse avx2 vmx\n\nprocessor\t: 1\nflags\t\t: fpu\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    assert_int_equal(cpu_facts_read(path, a, &cpu), 0);
    unlink(path);
    assert_string_equal(cpu.model, "Some CPU @ 2GHz");
    assert_int_equal(cpu.flags.n, 4);
    assert_non_null(kvm_missing(&cpu, "/nonexistent/kvm"));
    assert_non_null(kvm_missing(&cpu, "/dev/null")); /* opens, but is no KVM */
    cpu.flags.n = 2;
    assert_string_equal(kvm_missing(&cpu, "/dev/kvm"), "the CPU shows neither vmx nor svm");
}

/* The host's memory is what the kernel says: libvirt says 12.8 GiB where there are 24. */
static void memory_comes_from_the_kernel(void **state _unused_)
{
    char path[] = "/tmp/meminfo-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const char text[] =
        "MemTotal:       24683964 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    assert_int_equal(meminfo_bytes(path, "MemTotal"), 24683964ll * 1024);
    assert_int_equal(meminfo_bytes(path, "MemAvailable"), 20000000ll * 1024);
    assert_int_equal(meminfo_bytes(path, "Mem"), -1);
    unlink(path);
    assert_int_equal(meminfo_bytes(path, "MemTotal"), -1);
}

static void console_log_is_bounded(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char path[] = "/tmp/console-XXXXXX";
    int fd = mkostemp(path, O_APPEND);
    assert_true(fd >= 0);
    const char *text;
    size_t n;
    static char line[4096];
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 256; i++) {
        assert_int_equal(write(fd, line, sizeof(line)), sizeof(line));
        assert_int_equal(console_log_trim(path, 65536), 0);
    }
    /* Still open, still appending. */
    assert_int_equal(write(fd, "the end\n", 8), 8);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 < 512 * 1024);
    assert_int_equal(console_log_read(path, 100, a, &text, &n), 0);
    assert_int_equal(n, 100);
    assert_memory_equal(text + 92, "the end\n", 8);
    assert_int_equal(console_log_read(path, 1 << 20, a, &text, &n), 0);
    assert_true(n >= 65536 && n < 512 * 1024);
    assert_int_equal(text[0], 'x');
    close(fd);
    unlink(path);
    assert_int_equal(console_log_read(path, 100, a, &text, &n), 0);
    assert_int_equal(n, 0);
}

static void capabilities(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct domain_host h = { 0 };
    _cleanup_(freep) char *xml = slurp(GOLDEN_DIR "/domcaps.xml");
    assert_non_null(xml);
    assert_int_equal(caps_parse(xml, a, &h), 0);
    assert_string_equal(h.emulator, "/usr/bin/qemu-system-x86_64");
    assert_true(h.virtio_vga);
    assert_false(h.tpm);
    assert_false(h.uefi);
    assert_true(caps_parse("<broken", a, &h) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minimal),
        cmocka_unit_test(everything),
        cmocka_unit_test(volumes),
        cmocka_unit_test(hostile),
        cmocka_unit_test(refused),
        cmocka_unit_test(acceleration),
        cmocka_unit_test(images_take_no_memory),
        cmocka_unit_test(device_names),
        cmocka_unit_test(hotplug),
        cmocka_unit_test(fingerprint),
        cmocka_unit_test(wire),
        cmocka_unit_test(kvm_needs_more_than_a_device),
        cmocka_unit_test(memory_comes_from_the_kernel),
        cmocka_unit_test(console_log_is_bounded),
        cmocka_unit_test(capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
