/*
 * What is: domains, their devices and figures, and the host itself.
 *
 * Nothing is remembered here; each answer is asked of libvirt or the kernel. The host's
 * memory and CPUs come from the kernel and never from libvirt, whose figures are too low on
 * some hosts; its capabilities are believed in what emulators offer, never in whether KVM
 * works (see accel.h).
 */
#include "host/hypervisor/libvirt_driver.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

LOG_MODULE("host.libvirt");

/* ---- XML that comes back ------------------------------------------------------------- */

static void errors_quiet(void *ctx _unused_, const char *message _unused_, ...)
{
}

int domain_doc(virDomainPtr dom, unsigned flags, xmlDocPtr *ret)
{
    _cleanup_(freep) char *xml = virDomainGetXMLDesc(dom, flags);
    if (!xml)
        return driver_error("xml", NULL);
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
    if (!doc || !xmlDocGetRootElement(doc)) {
        if (doc)
            xmlFreeDoc(doc);
        return -EBADMSG;
    }
    *ret = doc;
    return 0;
}

const char *doc_value(xmlNodePtr from, const char *xpath, struct arena *a)
{
    const char *out = NULL;
    xmlXPathContextPtr cx = xmlXPathNewContext(from->doc);
    if (!cx)
        return NULL;
    cx->node = from;
    xmlXPathRegisterNs(cx, BAD_CAST "y", BAD_CAST DOMAIN_XMLNS);
    xmlXPathObjectPtr o = xmlXPathEvalExpression(BAD_CAST xpath, cx);
    if (o && o->nodesetval && o->nodesetval->nodeNr > 0) {
        xmlChar *text = xmlNodeGetContent(o->nodesetval->nodeTab[0]);
        out = arena_strdup(a, (const char *)text);
        xmlFree(text);
    }
    xmlXPathFreeObject(o);
    xmlXPathFreeContext(cx);
    return out;
}

static bool doc_has(xmlDocPtr doc, const char *xpath)
{
    bool has = false;
    xmlXPathContextPtr cx = xmlXPathNewContext(doc);
    xmlXPathObjectPtr o = cx ? xmlXPathEvalExpression(BAD_CAST xpath, cx) : NULL;
    has = o && o->nodesetval && o->nodesetval->nodeNr > 0;
    xmlXPathFreeObject(o);
    xmlXPathFreeContext(cx);
    return has;
}

int caps_parse(const char *xml, struct arena *a, struct domain_host *h)
{
    xmlSetGenericErrorFunc(NULL, errors_quiet);
    _cleanup_(xmldoc_freep) xmlDocPtr doc =
        xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
    if (!doc || !xmlDocGetRootElement(doc))
        return -EBADMSG;
    h->emulator = doc_value(xmlDocGetRootElement(doc), "/domainCapabilities/path", a);
    h->spice = doc_has(doc, "//graphics[@supported='yes']/enum[@name='type']/value[.='spice']");
    h->virtio_vga = doc_has(doc, "//video[@supported='yes']/enum[@name='modelType']/value[.='virtio']");
    h->uefi = doc_has(doc, "/domainCapabilities/os/enum[@name='firmware']/value[.='efi']");
    h->secure_boot =
        h->uefi && doc_has(doc, "/domainCapabilities/os/loader/enum[@name='secure']/value[.='yes']");
    h->tpm = doc_has(doc, "//tpm[@supported='yes']/enum[@name='backendModel']/value[.='emulator']");
    return arena_failed(a) ? -ENOMEM : 0;
}

/* ---- domains ------------------------------------------------------------------------- */

/* Text of one element of our metadata, without asking for all of the XML. */
static const char *mark_get(virDomainPtr dom, const char *element, struct arena *a)
{
    _cleanup_(freep) char *xml =
        virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_XMLNS, VIR_DOMAIN_AFFECT_CONFIG);
    if (!xml)
        return NULL;
    _cleanup_(xmldoc_freep) xmlDocPtr doc =
        xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
    if (!doc || !xmlDocGetRootElement(doc))
        return NULL;
    for (xmlNodePtr n = xmlDocGetRootElement(doc)->children; n; n = n->next)
        if (str_eq((const char *)n->name, element)) {
            xmlChar *text = xmlNodeGetContent(n);
            const char *out = arena_strdup(a, (const char *)text);
            xmlFree(text);
            return out;
        }
    return NULL;
}

int libvirt_list(struct hypervisor *hv, struct arena *a, struct domain_list *ret)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    int r = driver_conn(d, &c);
    if (r < 0)
        return r;
    virDomainPtr *all = NULL;
    int n = virConnectListAllDomains(c, &all, 0);
    if (n < 0)
        return driver_error("list", NULL);
    struct domain_list l = { 0 };
    for (int i = 0; i < n; i++) {
        char id[VIR_UUID_STRING_BUFLEN];
        enum domain_state state;
        if (r == 0 && str_starts(virDomainGetName(all[i]), d->host.name_prefix) &&
            virDomainGetUUIDString(all[i], id) == 0) {
            int q = domain_state_get(all[i], &state, NULL);
            if (q == 0) {
                struct domain_info *info = vec_add(a, &l);
                if (info)
                    *info = (struct domain_info){ .id = arena_strdup(a, id),
                                                  .name = arena_strdup(a, virDomainGetName(all[i])),
                                                  .state = state,
                                                  .fingerprint = mark_get(all[i], "fingerprint", a) };
            } else if (q != -ENOENT) {
                r = q;
            }
        }
        virDomainFree(all[i]);
    }
    free(all);
    if (r == 0 && arena_failed(a))
        r = -ENOMEM;
    if (r == 0)
        *ret = l;
    return r;
}

static int64_t number(const char *text)
{
    return text ? strtoll(text, NULL, 10) : 0;
}

static void observe_devices(xmlNodePtr devices, struct arena *a, struct domain_info *info)
{
    for (xmlNodePtr n = devices->children; n; n = n->next) {
        const char *name = (const char *)n->name;
        if (str_eq(name, "disk")) {
            struct domain_disk *k = vec_add(a, &info->disks);
            if (!k)
                return;
            k->device = doc_value(n, "target/@dev", a);
            k->id = disk_alias_id(doc_value(n, "alias/@name", a));
            k->source = doc_value(n, "source/@file | source/@dev | source/@name", a);
        } else if (str_eq(name, "interface")) {
            struct domain_nic *k = vec_add(a, &info->nics);
            if (!k)
                return;
            k->mac = doc_value(n, "mac/@address", a);
            k->tap = doc_value(n, "target/@dev", a);
        } else if (str_eq(name, "graphics")) {
            const char *type = doc_value(n, "@type", a);
            int64_t port = number(doc_value(n, "@port", a));
            if (str_eq(type, "vnc"))
                info->vnc_port = port > 0 ? port : 0;
            else if (str_eq(type, "spice"))
                info->spice_port = port > 0 ? port : 0,
                info->spice_tls_port = number(doc_value(n, "@tlsPort", a));
        } else if (str_eq(name, "serial") && !info->serial_path) {
            info->serial_path = doc_value(n, "source/@path", a);
        }
    }
    info->spice_tls_port = MAX(info->spice_tls_port, (int64_t)0);
}

int libvirt_observe(struct hypervisor *hv, const char *id, struct arena *a, struct domain_info *ret)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    struct domain_info info = { .id = arena_strdup(a, id), .console_host = d->host.console_host };
    int r = driver_domain(d, id, &dom);
    if (r == -ENOENT) {
        info.state = DOMAIN_ABSENT;
        *ret = info;
        return 0;
    }
    if (r < 0)
        return r;
    _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
    r = domain_state_get(dom, &info.state, &info.io_error);
    if (r == 0)
        r = domain_doc(dom, 0, &doc);
    if (r == -ENOENT) { /* it went away between two questions */
        info.state = DOMAIN_ABSENT;
        *ret = info;
        return 0;
    }
    if (r < 0)
        return r;
    info.name = arena_strdup(a, virDomainGetName(dom));
    /* The definition's mark, not the running machine's: that is what the next start uses. */
    info.fingerprint = mark_get(dom, "fingerprint", a);
    for (xmlNodePtr n = xmlDocGetRootElement(doc)->children; n; n = n->next)
        if (str_eq((const char *)n->name, "devices"))
            observe_devices(n, a, &info);
    if (arena_failed(a))
        return -ENOMEM;
    *ret = info;
    return 0;
}

/* ---- figures of one domain ------------------------------------------------------------ */

/* "vcpu.3.time" as ("vcpu", 3, "time"): group, index and rest of a figure's name. */
static bool stat_name(const char *field, const char *group, unsigned *ret_index, const char **ret_rest)
{
    size_t n = strlen(group);
    char *end;
    if (strncmp(field, group, n) != 0 || field[n] != '.')
        return false;
    unsigned long i = strtoul(field + n + 1, &end, 10);
    if (end == field + n + 1 || *end != '.' || i > 4096)
        return false;
    *ret_index = (unsigned)i;
    *ret_rest = end + 1;
    return true;
}

static int64_t param_number(const virTypedParameter *p)
{
    switch (p->type) {
    case VIR_TYPED_PARAM_INT:
        return p->value.i;
    case VIR_TYPED_PARAM_UINT:
        return p->value.ui;
    case VIR_TYPED_PARAM_LLONG:
        return p->value.l;
    case VIR_TYPED_PARAM_ULLONG:
        return (int64_t)p->value.ul;
    default:
        return 0;
    }
}

struct stat_row {
    const char *name;
    size_t offset;
};

static void stat_put(const struct stat_row *rows, size_t n, const char *name, int64_t value, void *to)
{
    for (size_t i = 0; i < n; i++)
        if (STREQ(rows[i].name, name))
            *(int64_t *)(void *)((char *)to + rows[i].offset) = value;
}

static void diagnostics_take(const virTypedParameter *p, struct arena *a, struct domain_diagnostics *g)
{
    static const struct stat_row DISK[] = {
        { "rd.bytes", offsetof(struct domain_disk_stat, read_bytes) },
        { "rd.reqs", offsetof(struct domain_disk_stat, read_requests) },
        { "wr.bytes", offsetof(struct domain_disk_stat, write_bytes) },
        { "wr.reqs", offsetof(struct domain_disk_stat, write_requests) },
        { "errors", offsetof(struct domain_disk_stat, errors) },
    };
    static const struct stat_row NIC[] = {
        { "rx.bytes", offsetof(struct domain_nic_stat, rx_bytes) },
        { "rx.pkts", offsetof(struct domain_nic_stat, rx_packets) },
        { "rx.drop", offsetof(struct domain_nic_stat, rx_drop) },
        { "rx.errs", offsetof(struct domain_nic_stat, rx_errors) },
        { "tx.bytes", offsetof(struct domain_nic_stat, tx_bytes) },
        { "tx.pkts", offsetof(struct domain_nic_stat, tx_packets) },
        { "tx.drop", offsetof(struct domain_nic_stat, tx_drop) },
        { "tx.errs", offsetof(struct domain_nic_stat, tx_errors) },
    };
    unsigned i;
    const char *rest;
    if (stat_name(p->field, "vcpu", &i, &rest)) {
        while (g->cpus.n <= i) {
            struct domain_cpu_stat *c = vec_add(a, &g->cpus);
            if (!c)
                return;
            c->id = (int64_t)g->cpus.n - 1;
        }
        if (STREQ(rest, "time"))
            g->cpus.v[i].time_ns = param_number(p);
    } else if (stat_name(p->field, "block", &i, &rest)) {
        while (g->disks.n <= i) {
            struct domain_disk_stat *k = vec_add(a, &g->disks);
            if (!k)
                return;
            k->errors = -1;
        }
        if (STREQ(rest, "name"))
            g->disks.v[i].device = arena_strdup(a, p->value.s);
        stat_put(DISK, ARRAY_SIZE(DISK), rest, param_number(p), &g->disks.v[i]);
    } else if (stat_name(p->field, "net", &i, &rest)) {
        while (g->nics.n <= i)
            if (!vec_add(a, &g->nics))
                return;
        if (STREQ(rest, "name"))
            g->nics.v[i].tap = arena_strdup(a, p->value.s);
        stat_put(NIC, ARRAY_SIZE(NIC), rest, param_number(p), &g->nics.v[i]);
    } else if (STREQ(p->field, "balloon.maximum")) {
        g->memory_max_kb = param_number(p);
    } else if (STREQ(p->field, "balloon.rss")) {
        g->memory_used_kb = g->memory_used_kb ? g->memory_used_kb : param_number(p);
    } else if (STREQ(p->field, "balloon.unused")) {
        g->memory_used_kb = -param_number(p);
    }
}

int libvirt_diagnostics(struct hypervisor *hv, const char *id, struct arena *a,
                        struct domain_diagnostics *ret, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    struct domain_diagnostics g = { 0 };
    int r = driver_domain(d, id, &dom);
    if (r == 0)
        r = domain_state_get(dom, &g.state, NULL);
    if (r < 0)
        return r;
    if (g.state != DOMAIN_RUNNING && g.state != DOMAIN_PAUSED)
        return fault_set(fault, 409, "InstanceInvalidState", "Figures are kept only while the server runs.");
    virDomainPtr one[] = { dom, NULL };
    virDomainStatsRecordPtr *records = NULL;
    int n = virDomainListGetStats(one,
                                  VIR_DOMAIN_STATS_VCPU | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK |
                                      VIR_DOMAIN_STATS_INTERFACE,
                                  &records, 0);
    if (n < 0)
        return driver_error("stats", fault);
    for (int i = 0; n > 0 && i < records[0]->nparams; i++)
        diagnostics_take(&records[0]->params[i], a, &g);
    virDomainStatsRecordListFree(records);
    if (g.memory_used_kb < 0)
        g.memory_used_kb = MAX(g.memory_max_kb + g.memory_used_kb, (int64_t)0);
    struct domain_info info;
    r = libvirt_observe(hv, id, a, &info);
    for (size_t i = 0; r == 0 && i < g.nics.n; i++)
        for (size_t k = 0; k < info.nics.n; k++)
            if (str_eq(info.nics.v[k].tap, g.nics.v[i].tap))
                g.nics.v[i].mac = info.nics.v[k].mac;
    if (r == 0 && arena_failed(a))
        r = -ENOMEM;
    if (r == 0)
        *ret = g;
    return r;
}

/* ---- the host -------------------------------------------------------------------------- */

/* First line of a small file of the kernel, or null. */
static const char *file_line(const char *path, struct arena *a)
{
    FILE *f = fopen(path, "re");
    char line[512];
    if (!f)
        return NULL;
    const char *out = NULL;
    if (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        out = arena_strdup(a, line);
    }
    fclose(f);
    return out;
}

static void facts_numa(struct arena *a, struct host_facts *f)
{
    for (int i = 0; i < 64; i++) {
        const char *base = arena_printf(a, "/sys/devices/system/node/node%d", i);
        const char *cpus = base ? file_line(arena_printf(a, "%s/cpulist", base), a) : NULL;
        if (!cpus)
            return;
        struct host_numa_cell *c = vec_add(a, &f->numa);
        if (!c)
            return;
        c->id = i;
        c->cpus = cpus;
        const char *mem = file_line(arena_printf(a, "%s/meminfo", base), a);
        const char *at = mem ? strstr(mem, "MemTotal:") : NULL;
        c->memory_mb = at ? strtoll(at + 9, NULL, 10) / 1024 : 0;
        c->pages_2m =
            number(file_line(arena_printf(a, "%s/hugepages/hugepages-2048kB/nr_hugepages", base), a));
        c->pages_1g =
            number(file_line(arena_printf(a, "%s/hugepages/hugepages-1048576kB/nr_hugepages", base), a));
    }
}

static void facts_traits(struct arena *a, const struct libvirt_driver *d, struct host_facts *f)
{
    static const char *const ALWAYS[] = {
        "COMPUTE_DEVICE_TAGGING",
        "COMPUTE_NET_ATTACH_INTERFACE",
        "COMPUTE_NET_ATTACH_INTERFACE_WITH_TAG",
        "COMPUTE_VOLUME_ATTACH_WITH_TAG",
        "COMPUTE_VOLUME_EXTEND",
        "COMPUTE_VOLUME_MULTI_ATTACH",
        "COMPUTE_RESCUE_BFV",
        "COMPUTE_NODE",
        "COMPUTE_GRAPHICS_MODEL_VGA",
        "COMPUTE_GRAPHICS_MODEL_NONE",
        "COMPUTE_STORAGE_BUS_VIRTIO",
        "COMPUTE_STORAGE_BUS_SCSI",
        "COMPUTE_STORAGE_BUS_IDE",
        "COMPUTE_STORAGE_BUS_SATA",
        "COMPUTE_NET_VIF_MODEL_VIRTIO",
        "COMPUTE_NET_VIF_MODEL_E1000",
        "COMPUTE_NET_VIF_MODEL_E1000E",
        "COMPUTE_NET_VIF_MODEL_RTL8139",
        "COMPUTE_IMAGE_TYPE_QCOW2",
        "COMPUTE_IMAGE_TYPE_RAW",
        "COMPUTE_IMAGE_TYPE_VMDK",
        "COMPUTE_IMAGE_TYPE_VDI",
        "COMPUTE_IMAGE_TYPE_VHD",
        "COMPUTE_IMAGE_TYPE_VHDX",
        "COMPUTE_IMAGE_TYPE_ISO",
        "HW_ARCH_X86_64",
    };
    static const char *const CPU[][2] = {
        { "sse", "SSE" },           { "sse2", "SSE2" },         { "ssse3", "SSSE3" },
        { "sse4_1", "SSE41" },      { "sse4_2", "SSE42" },      { "avx", "AVX" },
        { "avx2", "AVX2" },         { "avx512f", "AVX512F" },   { "avx512bw", "AVX512BW" },
        { "avx512cd", "AVX512CD" }, { "avx512dq", "AVX512DQ" }, { "avx512vl", "AVX512VL" },
        { "aes", "AESNI" },         { "fma", "FMA3" },          { "f16c", "F16C" },
        { "bmi1", "BMI" },          { "bmi2", "BMI2" },         { "mmx", "MMX" },
        { "sha_ni", "SHA" },        { "pclmulqdq", "CLMUL" },   { "vmx", "VMX" },
        { "svm", "SVM" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(ALWAYS); i++)
        strv_add(a, &f->traits, ALWAYS[i]);
    /* Of an emulated CPU the host's features say nothing. */
    for (size_t i = 0; d->host.kvm && i < ARRAY_SIZE(CPU); i++)
        if (strv_has(&f->cpu_features, CPU[i][0]))
            strv_add(a, &f->traits, arena_printf(a, "HW_CPU_X86_%s", CPU[i][1]));
    if (d->host.virtio_vga)
        strv_add(a, &f->traits, "COMPUTE_GRAPHICS_MODEL_VIRTIO");
    if (d->host.secure_boot)
        strv_add(a, &f->traits, "COMPUTE_SECURITY_UEFI_SECURE_BOOT");
    if (d->host.tpm) {
        strv_add(a, &f->traits, "COMPUTE_SECURITY_TPM_1_2");
        strv_add(a, &f->traits, "COMPUTE_SECURITY_TPM_2_0");
    }
}

int libvirt_facts(struct hypervisor *hv, struct arena *a, struct host_facts *ret)
{
    struct libvirt_driver *d = driver_of(hv);
    int r = driver_caps(d);
    if (r < 0)
        return r;
    _cleanup_(conn_closep) virConnectPtr c = NULL;
    r = driver_conn(d, &c);
    if (r < 0)
        return r;
    struct host_facts f = { .driver = "libvirt", .arch = d->host.arch };
    _cleanup_(freep) char *hostname = virConnectGetHostname(c);
    unsigned long version = 0;
    (void)virConnectGetVersion(c, &version);
    f.hostname = arena_strdup(a, str_or(hostname, d->config.host_name));
    f.hypervisor_type = arena_strdup(a, str_or(virConnectGetType(c), "QEMU"));
    f.hypervisor_version = (int64_t)version;
    f.accel = d->host.kvm ? "kvm" : "tcg";
    f.accel_reason = arena_strdup(a, d->no_kvm);
    f.cpu_model = arena_strdup(a, d->cpu.model);
    f.cpu_vendor = arena_strdup(a, d->cpu.vendor);
    for (size_t i = 0; i < d->cpu.flags.n; i++)
        strv_add(a, &f.cpu_features, d->cpu.flags.v[i]);
    f.vcpus = sysconf(_SC_NPROCESSORS_ONLN);
    virNodeInfo node;
    f.cpu_sockets = f.cpu_threads = 1;
    f.cpu_cores = f.vcpus;
    if (virNodeGetInfo(c, &node) == 0 && node.sockets && node.cores && node.threads) {
        f.cpu_sockets = (int64_t)node.sockets * (node.nodes ? node.nodes : 1);
        f.cpu_cores = node.cores;
        f.cpu_threads = node.threads;
    }
    int64_t total = meminfo_bytes("/proc/meminfo", "MemTotal");
    int64_t available = meminfo_bytes("/proc/meminfo", "MemAvailable");
    f.memory_mb = MAX(total >> 20, (int64_t)0);
    f.memory_free_mb = MAX(available >> 20, (int64_t)0);
    struct statvfs vfs;
    if (statvfs(d->config.data_dir, &vfs) == 0) {
        f.disk_gb = (int64_t)((uint64_t)vfs.f_blocks * vfs.f_frsize >> 30);
        f.disk_free_gb = (int64_t)((uint64_t)vfs.f_bavail * vfs.f_frsize >> 30);
        f.disk_used_gb = f.disk_gb - (int64_t)((uint64_t)vfs.f_bfree * vfs.f_frsize >> 30);
    }
    struct sysinfo si;
    if (sysinfo(&si) == 0) {
        f.load_milli = (int64_t)(si.loads[0] * 1000ull >> SI_LOAD_SHIFT);
        f.uptime = SECONDS(si.uptime);
    }
    f.spice = d->host.spice;
    f.uefi = d->host.uefi;
    f.secure_boot = d->host.secure_boot;
    f.tpm = d->host.tpm;
    strv_add(a, &f.machine_types, "pc");
    strv_add(a, &f.machine_types, "q35");
    facts_numa(a, &f);
    facts_traits(a, d, &f);
    struct domain_list l = { 0 };
    if (libvirt_list(hv, a, &l) == 0)
        for (size_t i = 0; i < l.n; i++)
            f.running += l.v[i].state == DOMAIN_RUNNING || l.v[i].state == DOMAIN_PAUSED;
    if (arena_failed(a))
        return -ENOMEM;
    *ret = f;
    return 0;
}
