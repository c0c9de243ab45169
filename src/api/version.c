/*
 * Microversions (OpenStack API working group, "Microversion Specification"): the client names a
 * version in OpenStack-API-Version (or the service's older header); none means the lowest.
 */
#include "api/internal.h"

#include <stdio.h>
#include <stdlib.h>

static int bad(struct call *c, const char *text)
{
    return call_fault(c, 400, "InvalidAPIVersionString",
                      "API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", text);
}

static int settle(struct call *c, const char *text)
{
    const struct service *s = c->service;
    if (STREQ(text, "latest")) {
        c->minor = s->version_max;
        return 0;
    }
    int major, minor, end = 0;
    if (sscanf(text, "%4d.%4d%n", &major, &minor, &end) != 2 || text[end] || major < 0 || minor < 0 ||
        (text[0] == '0' && text[1] != '.'))
        return bad(c, text);
    if (major != s->version_major || minor < s->version_min || minor > s->version_max)
        return call_fault(c, 406, "InvalidGlobalAPIVersion",
                          "Version %s is not supported by the API. Minimum is %d.%d and maximum is %d.%d.", text,
                          s->version_major, s->version_min, s->version_major, s->version_max);
    c->minor = minor;
    return 0;
}

int version_settle(struct call *c)
{
    const struct service *s = c->service;
    if (!s->version_major)
        return 0;
    c->minor = s->version_min;
    /* "compute 2.12", or several services in one header */
    const char *header = http_header(c->http, "OpenStack-API-Version");
    size_t n = strlen(s->version_type);
    while (header && *header) {
        header += strspn(header, " ,");
        size_t length = strcspn(header, ",");
        if (strncmp(header, s->version_type, n) == 0 && header[n] == ' ') {
            const char *at = header + n + strspn(header + n, " ");
            size_t left = length - (size_t)(at - header);
            while (left && at[left - 1] == ' ')
                left--;
            const char *text = arena_strndup(c->arena, at, left);
            return text ? settle(c, text) : -1;
        }
        header += length;
    }
    const char *old = s->version_header_old ? http_header(c->http, s->version_header_old) : NULL;
    return old ? settle(c, old) : 0;
}

void version_headers(struct call *c)
{
    const struct service *s = c->service;
    if (s && s->request_id_header)
        http_set_header(c->http, s->request_id_header, c->http->id);
    if (!s || !s->version_major || (c->route && (c->route->flags & ROUTE_NO_VERSION)))
        return;
    char text[64];
    (void)snprintf(text, sizeof(text), "%s %d.%d", s->version_type, s->version_major, c->minor);
    http_set_header(c->http, "OpenStack-API-Version", text);
    if (s->version_header_old) {
        http_set_header(c->http, s->version_header_old, strchr(text, ' ') + 1);
        http_set_header(c->http, "Vary", s->version_header_old);
    }
    http_set_header(c->http, "Vary", "OpenStack-API-Version");
}
