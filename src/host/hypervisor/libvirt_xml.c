/*
 * The domain: memory, CPUs, firmware, clock, marks. Devices are in libvirt_devices.c.
 *
 * Flavor extra specs (hw:*, quota:*, os:*) win over image properties (hw_*, os_*, img_*);
 * names and values are those that images and flavors of this ecosystem already carry.
 *
 * Two traps of hosts without working KVM are met here, and only here: libvirt advertises
 * type='kvm' there, so the type comes from domain_host.kvm and never from capabilities;
 * and QEMU's translation cache grows past the guest's own memory, so TCG always gets a
 * bound (<tcg><tb-cache>).
 */
#include "host/hypervisor/libvirt_xml.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- trees ------------------------------------------------------------------------- */

xmlNodePtr xml_el(struct xml *x, xmlNodePtr parent, const char *name)
{
    if (x->failed)
        return NULL;
    if (!x->doc && !(x->doc = xmlNewDoc(BAD_CAST "1.0"))) {
        x->failed = true;
        return NULL;
    }
    xmlNodePtr n = parent ? xmlNewChild(parent, NULL, BAD_CAST name, NULL)
                          : xmlNewDocNode(x->doc, NULL, BAD_CAST name, NULL);
    if (!n)
        x->failed = true;
    else if (!parent)
        xmlDocSetRootElement(x->doc, n);
    return n;
}

/* Control characters have no form in XML 1.0, and libvirt refuses what is no UTF-8. */
static char *xml_clean(const char *s)
{
    char *out = strdup(s);
    if (!out)
        return NULL;
    bool utf8 = xmlCheckUTF8(BAD_CAST s);
    size_t n = 0;
    for (const char *p = s; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            continue;
        out[n++] = c >= 0x80 && !utf8 ? '?' : *p;
    }
    out[n] = '\0';
    return out;
}

xmlNodePtr xml_text(struct xml *x, xmlNodePtr parent, const char *name, const char *text)
{
    if (x->failed || !parent)
        return NULL;
    _cleanup_(freep) char *clean = xml_clean(str_or(text, ""));
    xmlNodePtr n = clean ? xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST clean) : NULL;
    if (!n)
        x->failed = true;
    return n;
}

void xml_attr(struct xml *x, xmlNodePtr node, const char *name, const char *value)
{
    if (x->failed || !node)
        return;
    _cleanup_(freep) char *clean = xml_clean(str_or(value, ""));
    if (!clean || !xmlNewProp(node, BAD_CAST name, BAD_CAST clean))
        x->failed = true;
}

void xml_attrf(struct xml *x, xmlNodePtr node, const char *name, const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0) {
        x->failed = true;
        return;
    }
    xml_attr(x, node, name, text);
    free(text);
}

char *xml_finish(struct xml *x)
{
    char *out = NULL;
    xmlBufferPtr b = x->failed || !x->doc ? NULL : xmlBufferCreate();
    if (b) {
        if (xmlNodeDump(b, x->doc, xmlDocGetRootElement(x->doc), 0, 1) > 0)
            out = strndup((const char *)xmlBufferContent(b), (size_t)xmlBufferLength(b));
        xmlBufferFree(b);
    }
    xml_done(x);
    return out;
}

void xml_done(struct xml *x)
{
    if (x->doc)
        xmlFreeDoc(x->doc);
    x->doc = NULL;
}

/* ---- names --------------------------------------------------------------------------- */

const char *domain_name(const struct domain_host *h, const char *id, struct arena *a)
{
    return arena_printf(a, "%s%s", h->name_prefix, id);
}

const char *domain_log_path(const struct domain_host *h, const char *id, struct arena *a)
{
    return arena_printf(a, "%s/%s/console.log", h->log_dir, id);
}

const char *domain_serial_path(const struct domain_host *h, const char *id, struct arena *a)
{
    return arena_printf(a, "%s/%s.sock", h->run_dir, id);
}

const char *disk_secret_uuid(const char *disk_id, const char *purpose, struct arena *a)
{
    unsigned char d[EVP_MAX_MD_SIZE] = { 0 };
    _cleanup_(freep) char *text = NULL;
    if (asprintf(&text, "yunduo:%s:%s", purpose, disk_id) < 0)
        return NULL;
    EVP_Digest(text, strlen(text), d, NULL, EVP_sha256(), NULL);
    d[6] = (unsigned char)((d[6] & 0x0f) | 0x50);
    d[8] = (unsigned char)((d[8] & 0x3f) | 0x80);
    return arena_printf(a, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0], d[1],
                        d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14],
                        d[15]);
}

const char *disk_alias_id(const char *alias)
{
    return str_starts(alias, DISK_ALIAS_PREFIX) ? alias + strlen(DISK_ALIAS_PREFIX) : NULL;
}

/* ---- knobs --------------------------------------------------------------------------- */

const char *spec_knob(const struct server_spec *s, const char *extra, const char *property)
{
    const char *v = extra ? strmap_get(&s->extra_specs, extra) : NULL;
    if (!v && property && s->image)
        v = strmap_get(&s->image->properties, property);
    return str_empty(v) ? NULL : v;
}

bool knob_true(const char *value)
{
    return value && (strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0 ||
                     strcasecmp(value, "on") == 0 || STREQ(value, "1"));
}

static int64_t knob_number(const char *value, int64_t otherwise)
{
    if (!value || !isdigit((unsigned char)*value))
        return otherwise;
    return strtoll(value, NULL, 10);
}

static bool is_windows(const struct server_spec *s)
{
    return str_eq(spec_knob(s, NULL, "os_type"), "windows");
}

const char *domain_machine(const struct server_spec *s, const struct domain_host *h)
{
    const char *m = spec_knob(s, NULL, "hw_machine_type");
    if (m)
        return m;
    /* Secure boot needs system management mode, which the old machine doesn't have. */
    const char *sb = spec_knob(s, "os:secure_boot", "os_secure_boot");
    if (str_eq(sb, "required") || (str_eq(sb, "optional") && h->secure_boot))
        return "q35";
    return str_or(h->machine, "pc");
}

bool domain_is_q35(const struct server_spec *s, const struct domain_host *h)
{
    const char *m = domain_machine(s, h);
    return str_starts(m, "q35") || strstr(m, "-q35-");
}

/* ---- pieces -------------------------------------------------------------------------- */

static void build_marks(struct xml *x, xmlNodePtr dom, const struct server_spec *s,
                        const struct domain_host *h, struct arena *a)
{
    xmlNodePtr md = xml_el(x, dom, "metadata");
    xmlNodePtr m = xml_el(x, md, "server");
    xmlNsPtr ns = m ? xmlNewNs(m, BAD_CAST DOMAIN_XMLNS, BAD_CAST "yunduo") : NULL;
    if (!ns) {
        x->failed = true;
        return;
    }
    const struct {
        const char *key, *value;
    } rows[] = {
        { "id", s->id },
        { "host", h->host_name },
        { "fingerprint", hypervisor_fingerprint(s, a) },
        { "name", s->name },
        { "project", s->project_id },
        { "user", s->user_id },
        { "flavor", s->flavor_name },
        { "image", s->image ? s->image->id : NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].value)
            (void)xml_text(x, m, rows[i].key, rows[i].value);
    if (x->failed)
        return;
    xmlSetNs(m, ns);
    for (xmlNodePtr c = m->children; c; c = c->next)
        xmlSetNs(c, ns);
}

/* Page size in KiB; 0: no huge pages. */
static int64_t page_kib(const struct server_spec *s, bool *ret_any)
{
    /* What takes memory from the host for good is the flavor's to give: an image, which anybody can make, only
     * chooses among what the flavor leaves open. */
    const char *v = spec_knob(s, "hw:mem_page_size", NULL), *wish = spec_knob(s, NULL, "hw_mem_page_size");
    if (v && wish && (STREQ(v, "any") || (STREQ(v, "large") && !STREQ(wish, "small") && !STREQ(wish, "any"))))
        v = wish;
    *ret_any = false;
    if (!v || STREQ(v, "small") || STREQ(v, "any"))
        return 0;
    if (STREQ(v, "large")) {
        *ret_any = true;
        return 0;
    }
    char *end;
    int64_t n = strtoll(v, &end, 10);
    if (strncasecmp(end, "G", 1) == 0)
        return n * 1024 * 1024;
    if (strncasecmp(end, "M", 1) == 0)
        return n * 1024;
    return n > 4 ? n : 0;
}

static bool is_realtime(const struct server_spec *s)
{
    return knob_true(spec_knob(s, "hw:cpu_realtime", "hw_cpu_realtime"));
}

static void build_memory(struct xml *x, xmlNodePtr dom, const struct server_spec *s)
{
    char kib[32];
    snprintf(kib, sizeof(kib), "%lld", (long long)s->memory_mb * 1024);
    xml_attr(x, xml_text(x, dom, "memory", kib), "unit", "KiB");
    xml_attr(x, xml_text(x, dom, "currentMemory", kib), "unit", "KiB");

    bool any;
    int64_t page = page_kib(s, &any);
    bool locked = (is_realtime(s) && (s->pinned_cpus.n || spec_knob(s, "hw:cpu_realtime", NULL))) ||
                  knob_true(spec_knob(s, "hw:locked_memory", NULL));
    if (!page && !any && !locked)
        return;
    xmlNodePtr mb = xml_el(x, dom, "memoryBacking");
    if (page || any) {
        xmlNodePtr hp = xml_el(x, mb, "hugepages");
        if (page) {
            xmlNodePtr p = xml_el(x, hp, "page");
            xml_attrf(x, p, "size", "%lld", (long long)page);
            xml_attr(x, p, "unit", "KiB");
        }
    }
    if (is_realtime(s))
        xml_el(x, mb, "nosharepages");
    if (locked)
        xml_el(x, mb, "locked");
}

/* Whether a CPU list such as "0-3,^2,5" holds 'cpu'. */
static bool cpu_listed(const char *list, int64_t cpu)
{
    bool in = list[0] == '^'; /* a list of exceptions only begins with all */
    for (const char *p = list; *p;) {
        bool except = *p == '^';
        if (except)
            p++;
        char *end;
        long long from = strtoll(p, &end, 10), to = from;
        if (end == p)
            break;
        if (*end == '-')
            to = strtoll(end + 1, &end, 10);
        if (cpu >= from && cpu <= to)
            in = !except;
        p = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            break;
    }
    return in;
}

static void build_cputune(struct xml *x, xmlNodePtr dom, const struct server_spec *s, struct arena *a)
{
    static const char *const QUOTA[][2] = {
        { "quota:cpu_shares", "shares" },
        { "quota:cpu_period", "period" },
        { "quota:cpu_quota", "quota" },
    };
    xmlNodePtr t = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(QUOTA); i++) {
        const char *v = strmap_get(&s->extra_specs, QUOTA[i][0]);
        if (!v)
            continue;
        t = t ? t : xml_el(x, dom, "cputune");
        (void)xml_text(x, t, QUOTA[i][1], v);
    }
    if (!s->pinned_cpus.n)
        return;
    t = t ? t : xml_el(x, dom, "cputune");
    for (size_t i = 0; i < s->pinned_cpus.n && (int64_t)i < s->vcpus; i++) {
        xmlNodePtr p = xml_el(x, t, "vcpupin");
        xml_attrf(x, p, "vcpu", "%zu", i);
        xml_attr(x, p, "cpuset", s->pinned_cpus.v[i]);
    }
    xml_attr(x, xml_el(x, t, "emulatorpin"), "cpuset", strv_join(a, &s->pinned_cpus, ","));
    if (!is_realtime(s))
        return;
    const char *mask = spec_knob(s, "hw:cpu_realtime_mask", "hw_cpu_realtime_mask");
    for (int64_t i = 0; i < s->vcpus; i++) {
        if (mask && !cpu_listed(mask, i))
            continue;
        xmlNodePtr v = xml_el(x, t, "vcpusched");
        xml_attrf(x, v, "vcpus", "%lld", (long long)i);
        xml_attr(x, v, "scheduler", "fifo");
        xml_attr(x, v, "priority", "1");
    }
}

static int64_t numa_nodes(const struct server_spec *s)
{
    int64_t n = knob_number(spec_knob(s, "hw:numa_nodes", "hw_numa_nodes"), 0);
    return n > 64 ? 64 : n;
}

/* Which host cell each guest cell's memory comes from: [[guest cell, host cell], ...]. */
static void build_numatune(struct xml *x, xmlNodePtr dom, const struct server_spec *s)
{
    if (!s->numa_topology)
        return;
    char error[128];
    _cleanup_(json_decrefp) json_t *j =
        json_parse(s->numa_topology, strlen(s->numa_topology), error, sizeof(error));
    xmlNodePtr nt = NULL;
    size_t i;
    json_t *row;
    json_array_foreach(j, i, row)
    {
        json_t *guest = json_array_get(row, 0), *cell = json_array_get(row, 1);
        if (!json_is_integer(guest) || !json_is_integer(cell))
            continue;
        nt = nt ? nt : xml_el(x, dom, "numatune");
        xmlNodePtr m = xml_el(x, nt, numa_nodes(s) ? "memnode" : "memory");
        if (numa_nodes(s))
            xml_attrf(x, m, "cellid", "%lld", (long long)json_integer_value(guest));
        xml_attr(x, m, "mode", "strict");
        xml_attrf(x, m, "nodeset", "%lld", (long long)json_integer_value(cell));
        if (!numa_nodes(s))
            break;
    }
}

static int build_cpu(struct xml *x, xmlNodePtr dom, const struct server_spec *s, const struct domain_host *h,
                     struct arena *a, struct fault *fault)
{
    xmlNodePtr c = xml_el(x, dom, "cpu");
    const char *mode = str_or(h->cpu_mode, "host-model");
    /* TCG can't be a copy of the host: it keeps the emulator's own model. */
    if (h->cpu_model && (h->kvm || !str_starts(h->cpu_model, "host"))) {
        xml_attr(x, c, "mode", "custom");
        xml_attr(x, c, "match", "exact");
        (void)xml_text(x, c, "model", h->cpu_model);
    } else if (h->kvm && !STREQ(mode, "none")) {
        xml_attr(x, c, "mode", mode);
        xml_attr(x, c, "check", STREQ(mode, "host-model") ? "partial" : "none");
    }

    int64_t sockets = knob_number(spec_knob(s, "hw:cpu_sockets", "hw_cpu_sockets"), 0);
    int64_t cores = knob_number(spec_knob(s, "hw:cpu_cores", "hw_cpu_cores"), 0);
    int64_t threads = knob_number(spec_knob(s, "hw:cpu_threads", "hw_cpu_threads"), 0);
    /* Given ones must divide the count; what is open follows. Cores come before sockets,
     * since some systems are licensed by the socket. */
    threads = threads > 0 ? threads : 1;
    if (sockets <= 0 && cores <= 0)
        sockets = 1;
    if (sockets <= 0)
        sockets = s->vcpus / (cores * threads);
    if (cores <= 0)
        cores = s->vcpus / (sockets * threads);
    if (sockets * cores * threads != s->vcpus)
        return fault_set(fault, 400, "ImageVCPUTopologyRangeExceeded",
                         "A topology of %lld sockets, %lld cores, %lld threads does not make %lld vCPUs.",
                         (long long)sockets, (long long)cores, (long long)threads, (long long)s->vcpus);
    xmlNodePtr t = xml_el(x, c, "topology");
    xml_attrf(x, t, "sockets", "%lld", (long long)sockets);
    xml_attrf(x, t, "cores", "%lld", (long long)cores);
    xml_attrf(x, t, "threads", "%lld", (long long)threads);

    int64_t cells = numa_nodes(s);
    if (!cells)
        return 0;
    if (cells > s->vcpus)
        return fault_set(fault, 400, "ImageNUMATopologyCPUsUnassigned",
                         "%lld NUMA nodes need at least as many vCPUs.", (long long)cells);
    xmlNodePtr numa = xml_el(x, c, "numa");
    for (int64_t i = 0; i < cells; i++) {
        const char *cpus = spec_knob(s, arena_printf(a, "hw:numa_cpus.%lld", (long long)i),
                                     arena_printf(a, "hw_numa_cpus.%lld", (long long)i));
        const char *mem = spec_knob(s, arena_printf(a, "hw:numa_mem.%lld", (long long)i),
                                    arena_printf(a, "hw_numa_mem.%lld", (long long)i));
        int64_t per = s->vcpus / cells;
        int64_t last = i == cells - 1 ? s->vcpus - 1 : (i + 1) * per - 1;
        if (!cpus)
            cpus = arena_printf(a, "%lld-%lld", (long long)(i * per), (long long)last);
        int64_t share = s->memory_mb / cells;
        int64_t mb = knob_number(mem, i == cells - 1 ? s->memory_mb - share * (cells - 1) : share);
        xmlNodePtr cell = xml_el(x, numa, "cell");
        xml_attrf(x, cell, "id", "%lld", (long long)i);
        xml_attr(x, cell, "cpus", cpus);
        xml_attrf(x, cell, "memory", "%lld", (long long)mb * 1024);
        xml_attr(x, cell, "unit", "KiB");
    }
    return 0;
}

static int build_os(struct xml *x, xmlNodePtr dom, const struct server_spec *s, const struct domain_host *h,
                    struct fault *fault)
{
    const char *firmware = spec_knob(s, NULL, "hw_firmware_type");
    const char *sb = spec_knob(s, "os:secure_boot", "os_secure_boot");
    bool uefi = str_eq(firmware, "uefi") || str_eq(sb, "required");
    bool secure = str_eq(sb, "required") || (str_eq(sb, "optional") && uefi && h->secure_boot);
    if (uefi && !h->uefi)
        return fault_set(fault, 409, "UEFINotSupported", "UEFI firmware is not installed on this host.");
    if (secure && !h->secure_boot)
        return fault_set(fault, 409, "SecureBootNotSupported",
                         "Firmware for secure boot is not installed on this host.");
    if (secure && !domain_is_q35(s, h))
        return fault_set(fault, 409, "SecureBootNotSupported", "Secure boot needs machine type q35, not %s.",
                         domain_machine(s, h));

    xmlNodePtr os = xml_el(x, dom, "os");
    if (uefi)
        xml_attr(x, os, "firmware", "efi");
    xmlNodePtr type = xml_text(x, os, "type", "hvm");
    xml_attr(x, type, "arch", h->arch);
    xml_attr(x, type, "machine", domain_machine(s, h));
    if (uefi) {
        xmlNodePtr fw = xml_el(x, os, "firmware");
        const char *const features[] = { "secure-boot", "enrolled-keys" };
        for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
            xmlNodePtr f = xml_el(x, fw, "feature");
            xml_attr(x, f, "enabled", secure ? "yes" : "no");
            xml_attr(x, f, "name", features[i]);
        }
        if (secure)
            xml_attr(x, xml_el(x, os, "loader"), "secure", "yes");
    }
    if (knob_true(spec_knob(s, "hw:boot_menu", "hw_boot_menu")))
        xml_attr(x, xml_el(x, os, "bootmenu"), "enable", "yes");
    xml_attr(x, xml_el(x, os, "smbios"), "mode", "sysinfo");
    return 0;
}

static void build_sysinfo(struct xml *x, xmlNodePtr dom, const struct server_spec *s)
{
    /* cloud-init looks for the OpenStack metadata service only on machines that carry this
     * product name. */
    const struct {
        const char *name, *value;
    } rows[] = {
        { "manufacturer", "Yunduo" },
        { "product", "OpenStack Nova" },
        { "version", YUNDUO_VERSION },
        { "serial", s->id },
        { "uuid", s->id },
        { "family", "Virtual Machine" },
    };
    xmlNodePtr si = xml_el(x, dom, "sysinfo");
    xml_attr(x, si, "type", "smbios");
    xmlNodePtr sys = xml_el(x, si, "system");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        xml_attr(x, xml_text(x, sys, "entry", rows[i].value), "name", rows[i].name);
}

static void build_features(struct xml *x, xmlNodePtr dom, const struct server_spec *s,
                           const struct domain_host *h)
{
    xmlNodePtr f = xml_el(x, dom, "features");
    xml_el(x, f, "acpi");
    xml_el(x, f, "apic");
    const char *pmu = spec_knob(s, "hw:pmu", "hw_pmu");
    if (is_realtime(s) || (pmu && !knob_true(pmu)))
        xml_attr(x, xml_el(x, f, "pmu"), "state", "off");
    else if (pmu && h->kvm)
        xml_attr(x, xml_el(x, f, "pmu"), "state", "on");
    if (str_eq(spec_knob(s, "os:secure_boot", "os_secure_boot"), "required"))
        xml_attr(x, xml_el(x, f, "smm"), "state", "on");
    if (!h->kvm) {
        char mb[24];
        snprintf(mb, sizeof(mb), "%lld", (long long)h->tcg_cache_mb);
        xml_attr(x, xml_text(x, xml_el(x, f, "tcg"), "tb-cache", mb), "unit", "MiB");
        return;
    }
    if (knob_true(spec_knob(s, "hide_hypervisor_id", "img_hide_hypervisor_id")))
        xml_attr(x, xml_el(x, xml_el(x, f, "kvm"), "hidden"), "state", "on");
    if (is_windows(s)) {
        static const char *const ON[] = { "relaxed", "vapic", "vpindex",     "runtime",
                                          "synic",   "reset", "frequencies", "ipi" };
        xmlNodePtr hv = xml_el(x, f, "hyperv");
        for (size_t i = 0; i < ARRAY_SIZE(ON); i++)
            xml_attr(x, xml_el(x, hv, ON[i]), "state", "on");
        xmlNodePtr sp = xml_el(x, hv, "spinlocks");
        xml_attr(x, sp, "state", "on");
        xml_attr(x, sp, "retries", "8191");
    }
}

static void build_clock(struct xml *x, xmlNodePtr dom, const struct server_spec *s,
                        const struct domain_host *h)
{
    xmlNodePtr c = xml_el(x, dom, "clock");
    xml_attr(x, c, "offset", is_windows(s) ? "localtime" : "utc");
    const struct {
        const char *name, *tick;
    } ticking[] = { { "pit", "delay" }, { "rtc", "catchup" } };
    for (size_t i = 0; i < ARRAY_SIZE(ticking); i++) {
        xmlNodePtr t = xml_el(x, c, "timer");
        xml_attr(x, t, "name", ticking[i].name);
        xml_attr(x, t, "tickpolicy", ticking[i].tick);
    }
    xmlNodePtr hpet = xml_el(x, c, "timer");
    xml_attr(x, hpet, "name", "hpet");
    xml_attr(x, hpet, "present", knob_true(spec_knob(s, NULL, "hw_time_hpet")) ? "yes" : "no");
    if (is_windows(s) && h->kvm) {
        xmlNodePtr hv = xml_el(x, c, "timer");
        xml_attr(x, hv, "name", "hypervclock");
        xml_attr(x, hv, "present", "yes");
    }
}

int domain_xml(const struct server_spec *s, const struct domain_host *h, struct arena *a, char **ret,
               struct fault *fault)
{
    _cleanup_(xml_done) struct xml x = { 0 };
    if (s->vcpus < 1 || s->memory_mb < 1)
        return fault_set(fault, 400, "FlavorInvalid",
                         "A server needs at least one vCPU and 1 MiB of memory.");

    xmlNodePtr dom = xml_el(&x, NULL, "domain");
    xml_attr(&x, dom, "type", h->kvm ? "kvm" : "qemu");
    (void)xml_text(&x, dom, "name", domain_name(h, s->id, a));
    (void)xml_text(&x, dom, "uuid", s->id);
    build_marks(&x, dom, s, h, a);
    build_memory(&x, dom, s);
    char vcpus[24];
    snprintf(vcpus, sizeof(vcpus), "%lld", (long long)s->vcpus);
    xmlNodePtr v = xml_text(&x, dom, "vcpu", vcpus);
    xml_attr(&x, v, "placement", "static");
    build_cputune(&x, dom, s, a);
    build_numatune(&x, dom, s);
    build_sysinfo(&x, dom, s);
    int r = build_os(&x, dom, s, h, fault);
    if (r)
        return r;
    build_features(&x, dom, s, h);
    r = build_cpu(&x, dom, s, h, a, fault);
    if (r)
        return r;
    build_clock(&x, dom, s, h);
    (void)xml_text(&x, dom, "on_poweroff", "destroy");
    (void)xml_text(&x, dom, "on_reboot", "restart");
    (void)xml_text(&x, dom, "on_crash", "destroy");
    /* A guest that puts itself to sleep is never woken again: QEMU reports success and the
     * guest stays dead. So it is not offered. */
    xmlNodePtr pm = xml_el(&x, dom, "pm");
    xml_attr(&x, xml_el(&x, pm, "suspend-to-mem"), "enabled", "no");
    xml_attr(&x, xml_el(&x, pm, "suspend-to-disk"), "enabled", "no");
    xmlNodePtr devices = xml_el(&x, dom, "devices");
    r = devices_build(&x, devices, s, h, a, fault);
    if (r)
        return r;
    char *text = arena_failed(a) ? NULL : xml_finish(&x);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}
