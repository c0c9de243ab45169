/*
 * Live migration: this end's daemon talks to the other's and hands the machine over.
 *
 * The definition travels as it is, but for what differs between hosts: paths of disks and
 * names of taps, which are taken from the spec that the other end works by. With 'block' the
 * top layer of each local disk is copied, for the other end has the same image in its cache
 * and an overlay of the right size waiting.
 *
 * libvirt calls migration unsafe unless it recognises the storage as shared, and it
 * recognises few; that the disks are reachable from both ends is the caller's knowledge.
 * Post-copy and auto-converge are not used: under emulation guests were seen to die of them.
 * A guest that writes faster than the wire carries is moved with 'paused'.
 */
#include "host/hypervisor/libvirt_driver.h"

#include "base/log.h"

#include <errno.h>
#include <libxml/parser.h>

LOG_MODULE("host.libvirt");

static xmlNodePtr child(xmlNodePtr n, const char *name)
{
    for (n = n ? n->children : NULL; n; n = n->next)
        if (str_eq((const char *)n->name, name))
            return n;
    return NULL;
}

static void attr_replace(xmlNodePtr n, const char *name, const char *value)
{
    if (n && value && xmlHasProp(n, BAD_CAST name))
        xmlSetProp(n, BAD_CAST name, BAD_CAST value);
}

/* The definition as the other end needs it; malloc'ed. */
static char *xml_for(virDomainPtr dom, unsigned flags, const struct server_spec *spec, struct arena *a)
{
    _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
    if (domain_doc(dom, flags, &doc) < 0)
        return NULL;
    xmlNodePtr devices = child(xmlDocGetRootElement(doc), "devices");
    for (xmlNodePtr n = devices ? devices->children : NULL; n; n = n->next) {
        if (str_eq((const char *)n->name, "disk")) {
            const char *id = disk_alias_id(doc_value(n, "alias/@name", a));
            const struct server_disk *d = id ? server_spec_disk(spec, id) : NULL;
            if (d && d->source && d->source->path) {
                attr_replace(child(n, "source"), "file", d->source->path);
                attr_replace(child(n, "source"), "dev", d->source->path);
            }
            /* What lies below was asked of this host's files and is asked again over there. */
            xmlNodePtr below = child(n, "backingStore");
            if (below) {
                xmlUnlinkNode(below);
                xmlFreeNode(below);
            }
        } else if (str_eq((const char *)n->name, "interface")) {
            const char *mac = doc_value(n, "mac/@address", a);
            for (size_t i = 0; mac && i < spec->nics.n; i++)
                if (spec->nics.v[i].mac && strcasecmp(spec->nics.v[i].mac, mac) == 0) {
                    attr_replace(child(n, "target"), "dev", spec->nics.v[i].tap);
                    attr_replace(child(n, "source"), "bridge", spec->nics.v[i].bridge);
                }
        }
    }
    xmlBufferPtr b = xmlBufferCreate();
    char *out = NULL;
    if (b && xmlNodeDump(b, doc, xmlDocGetRootElement(doc), 0, 0) > 0)
        out = strndup((const char *)xmlBufferContent(b), (size_t)xmlBufferLength(b));
    if (b)
        xmlBufferFree(b);
    return out;
}

/* Adds the devices whose contents must travel. */
static int disks_add(virDomainPtr dom, const struct server_spec *spec, struct arena *a,
                     virTypedParameterPtr *params, int *n, int *max)
{
    _cleanup_(xmldoc_freep) xmlDocPtr doc = NULL;
    int r = domain_doc(dom, 0, &doc);
    if (r < 0)
        return r;
    xmlNodePtr devices = child(xmlDocGetRootElement(doc), "devices");
    for (xmlNodePtr k = devices ? devices->children : NULL; k; k = k->next) {
        if (!str_eq((const char *)k->name, "disk") || child(k, "readonly"))
            continue;
        const char *id = disk_alias_id(doc_value(k, "alias/@name", a));
        const char *device = doc_value(k, "target/@dev", a);
        const struct server_disk *d = id ? server_spec_disk(spec, id) : NULL;
        if (!d || !device || str_eq(d->kind, DISK_VOLUME))
            continue;
        if (virTypedParamsAddString(params, n, max, VIR_MIGRATE_PARAM_MIGRATE_DISKS, device) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The call blocks until the end; it has a thread of its own, so that progress can be told. */
struct move {
    struct libvirt_driver *d;
    virDomainPtr dom;
    const char *uri;
    virTypedParameterPtr params;
    int n;
    unsigned flags;
    int r;
    struct fault *fault;
    _Atomic bool over;
};

static void *move_run(void *arg)
{
    struct move *m = arg;
    if (virDomainMigrateToURI3(m->dom, m->uri, m->params, (unsigned)m->n, m->flags) < 0)
        m->r = driver_error("migrate", m->fault);
    m->over = true;
    driver_wake(m->d);
    return NULL;
}

int libvirt_migrate(struct hypervisor *hv, const char *id, const struct migrate_target *target,
                    bool (*progress)(void *cookie, int percent), void *cookie, struct fault *fault)
{
    struct libvirt_driver *d = driver_of(hv);
    _cleanup_(dom_freep) virDomainPtr dom = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    int r = a ? driver_domain(d, id, &dom) : -ENOMEM;
    if (r < 0)
        return r;
    if (virDomainIsActive(dom) != 1)
        return fault_set(fault, 409, "InstanceInvalidState", "Only a running server can be moved live.");

    _cleanup_(freep) char *live =
        xml_for(dom, VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE, target->spec, a);
    _cleanup_(freep) char *persistent =
        xml_for(dom, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE, target->spec, a);
    if (!live || !persistent || arena_failed(a))
        return -ENOMEM;
    struct move m = { .d = d, .dom = dom, .uri = target->uri, .fault = fault };
    m.flags = VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE |
              VIR_MIGRATE_UNSAFE | (target->paused ? 0 : VIR_MIGRATE_LIVE) |
              (target->block ? VIR_MIGRATE_NON_SHARED_INC : 0);
    int max = 0;
    const char *to = target->address;
    const char *data = !to               ? NULL
                       : strchr(to, ':') ? arena_printf(a, "tcp://[%s]", to)
                                         : arena_printf(a, "tcp://%s", to);
    if (virTypedParamsAddString(&m.params, &m.n, &max, VIR_MIGRATE_PARAM_DEST_XML, live) < 0 ||
        virTypedParamsAddString(&m.params, &m.n, &max, VIR_MIGRATE_PARAM_PERSIST_XML, persistent) < 0 ||
        (data && virTypedParamsAddString(&m.params, &m.n, &max, VIR_MIGRATE_PARAM_URI, data) < 0))
        r = -ENOMEM;
    if (r == 0 && target->block)
        r = disks_add(dom, target->spec, a, &m.params, &m.n, &max);
    pthread_t thread;
    if (r == 0)
        r = -pthread_create(&thread, NULL, move_run, &m);
    if (r == 0) {
        bool cancelled = false;
        for (int last = -1; !m.over;) {
            virDomainJobInfo job;
            int percent = last;
            if (virDomainGetJobInfo(dom, &job) == 0 && job.dataTotal)
                percent = (int)(job.dataProcessed * 100 / job.dataTotal);
            if (progress && percent != last && !cancelled && !progress(cookie, percent)) {
                cancelled = true;
                (void)virDomainAbortJob(dom);
            }
            last = percent;
            driver_wait(d, 200 * USEC_PER_MSEC);
        }
        pthread_join(thread, NULL);
        r = m.r && cancelled ? -ECANCELED : m.r;
        log_debug("moved", KV("server", id), KV("result", r));
    }
    virTypedParamsFree(m.params, m.n);
    return r;
}
