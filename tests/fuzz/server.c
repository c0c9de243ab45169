/*
 * Fuzz: what a server's specification can do to the texts made from it.
 *
 * The input is the JSON of a server_spec, after a line with a path of the metadata service.
 * The domain XML must be readable again and hold one domain with no device of a kind that we
 * don't make; the documents must be JSON; no path may reach outside the tree.
 */
#include "host/hypervisor/libvirt_xml.h"
#include "host/metadata_doc.h"

#include <libxml/parser.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct domain_host HOSTS[] = {
    { .host_name = "h",
      .name_prefix = "yun-",
      .run_dir = "/run/s",
      .log_dir = "/var/c",
      .console_host = "127.0.0.1",
      .arch = "x86_64",
      .tcg_cache_mb = 32,
      .machine = "pc" },
    { .host_name = "h",
      .name_prefix = "yun-",
      .run_dir = "/run/s",
      .log_dir = "/var/c",
      .console_host = "127.0.0.1",
      .arch = "x86_64",
      .kvm = true,
      .machine = "q35",
      .cpu_mode = "host-model",
      .uefi = true,
      .secure_boot = true,
      .tpm = true,
      .spice = true,
      .virtio_vga = true },
};

/* Elements that devices consist of. */
static bool known_device(const char *name)
{
    static const char *const NAMES[] = {
        "emulator", "controller", "disk",     "interface", "serial",  "channel",    "input",
        "graphics", "video",      "watchdog", "tpm",       "hostdev", "memballoon", "rng",
    };
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (STREQ(NAMES[i], name))
            return true;
    return false;
}

static void domain(const struct server_spec *s, const struct domain_host *h)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(freep) char *xml = NULL;
    struct fault fault;
    if (!a || domain_xml(s, h, a, &xml, &fault))
        return;
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_HUGE);
    if (!doc)
        abort();
    for (xmlNodePtr n = xmlDocGetRootElement(doc)->children; n; n = n->next) {
        if (!str_eq((const char *)n->name, "devices"))
            continue;
        for (xmlNodePtr d = n->children; d; d = d->next)
            if (d->type == XML_ELEMENT_NODE && !known_device((const char *)d->name))
                abort();
    }
    xmlFreeDoc(doc);
}

static void document(const struct server_spec *s, void (*render)(const struct server_spec *, struct buf *))
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(4 << 20);
    char error[256];
    render(s, &b);
    if (buf_error(&b))
        return;
    _cleanup_(json_decrefp) json_t *j = json_parse(buf_text(&b), b.len, error, sizeof(error));
    /* Two keys of one name are the tenant's doing and make no good JSON; the API refuses them. */
    if (!j && !strstr(error, "duplicate"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size);
    if (!line)
        return 0;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char error[256];
    const char *path = arena_strndup(a, (const char *)data, (size_t)(line - data));
    size_t n = size - (size_t)(line + 1 - data);
    _cleanup_(json_decrefp) json_t *j = json_parse((const char *)line + 1, n, error, sizeof(error));
    struct server_spec s = { 0 };
    struct decode_error e;
    if (!a || !path || !json_is_object(j) ||
        schema_decode(&SERVER_SPEC_SCHEMA, j, DECODE_STORED, 0, a, &s, NULL, &e))
        return 0;
    if (!s.id || s.vcpus > 512)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(HOSTS); i++)
        domain(&s, &HOSTS[i]);
    s.vendor_data = NULL; /* raw JSON of the operator's own */
    document(&s, metadata_meta_data);
    document(&s, metadata_network_data);
    document(&s, metadata_ec2_json);
    _cleanup_(buf_done) struct buf b = BUF_MAX(4 << 20);
    const char *type;
    (void)metadata_get(&s, path, &b, &type);
    return 0;
}
