/* Reading and writing of addresses; see address.h for the idea. */
#include "host/net/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>

bool ip_parse(const char *text, struct ip *ret)
{
    struct ip ip = { 0 };
    if (!text)
        return false;
    ip.family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(ip.family, text, ip.bytes) != 1)
        return false;
    *ret = ip;
    return true;
}

bool ip_parse_prefix(const char *text, struct ip *ret, int *ret_prefix)
{
    char address[IP_TEXT_SIZE];
    const char *slash = text ? strchr(text, '/') : NULL;
    if (!slash) {
        if (!ip_parse(text, ret))
            return false;
        *ret_prefix = ret->family == AF_INET ? 32 : 128;
        return true;
    }
    size_t n = (size_t)(slash - text);
    if (n >= sizeof(address))
        return false;
    memcpy(address, text, n);
    address[n] = 0;
    struct ip ip;
    if (!ip_parse(address, &ip))
        return false;
    int prefix = 0;
    const char *p = slash + 1;
    if (!*p)
        return false;
    for (; *p; p++) {
        if (*p < '0' || *p > '9' || prefix > 12)
            return false;
        prefix = prefix * 10 + (*p - '0');
    }
    if (prefix > (int)ip_size(ip.family) * 8)
        return false;
    *ret = ip;
    *ret_prefix = prefix;
    return true;
}

bool ip_range_parse(const char *text, struct ip_range *ret)
{
    struct ip ip;
    int prefix;
    if (!ip_parse_prefix(text, &ip, &prefix))
        return false;
    struct ip_range r = { .family = ip.family };
    size_t size = ip_size(ip.family);
    for (size_t i = 0; i < size; i++) {
        int bits = prefix - (int)i * 8;
        uint8_t mask = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));
        r.lo[i] = ip.bytes[i] & mask;
        r.hi[i] = ip.bytes[i] | (uint8_t)~mask;
    }
    *ret = r;
    return true;
}

bool ip_range_has(const struct ip_range *r, const struct ip *ip)
{
    size_t size = ip_size(ip->family);
    return r->family == ip->family && memcmp(r->lo, ip->bytes, size) <= 0 &&
           memcmp(ip->bytes, r->hi, size) <= 0;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, ip_size(a->family)) == 0;
}

char *ip_text(const struct ip *ip, char out[IP_TEXT_SIZE])
{
    if (!ip->family || !inet_ntop(ip->family, ip->bytes, out, IP_TEXT_SIZE))
        out[0] = 0;
    return out;
}

struct ip ip_network(const struct ip *ip, int prefix)
{
    struct ip net = { .family = ip->family };
    for (int i = 0; i < (int)ip_size(ip->family); i++) {
        int bits = prefix - i * 8;
        net.bytes[i] = ip->bytes[i] & (bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits)));
    }
    return net;
}

static int range_order(const void *a, const void *b)
{
    const struct ip_range *x = a, *y = b;
    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    int r = memcmp(x->lo, y->lo, 16);
    return r ? r : memcmp(x->hi, y->hi, 16);
}

/* Whether b begins at or before the address after a's end. */
static bool range_touches(const struct ip_range *a, const struct ip_range *b)
{
    if (a->family != b->family)
        return false;
    size_t size = ip_size(a->family);
    if (memcmp(b->lo, a->hi, size) <= 0)
        return true;
    uint8_t next[16];
    memcpy(next, a->hi, sizeof(next));
    for (size_t i = size; i-- > 0;)
        if (++next[i])
            return memcmp(next, b->lo, size) == 0;
    return true; /* a reaches the last address there is */
}

void ip_ranges_merge(ip_ranges *l)
{
    if (l->n < 2)
        return;
    qsort(l->v, l->n, sizeof(*l->v), range_order);
    size_t out = 0;
    for (size_t i = 1; i < l->n; i++) {
        if (!range_touches(&l->v[out], &l->v[i]))
            l->v[++out] = l->v[i];
        else if (memcmp(l->v[i].hi, l->v[out].hi, 16) > 0)
            memcpy(l->v[out].hi, l->v[i].hi, 16);
    }
    l->n = out + 1;
}

bool ip_ranges_have(const ip_ranges *l, const struct ip *ip)
{
    for (size_t i = 0; i < l->n; i++)
        if (ip_range_has(&l->v[i], ip))
            return true;
    return false;
}

/* The prefix length when the range is one prefix, else -1. */
static int range_prefix(const struct ip_range *r)
{
    int bits = (int)ip_size(r->family) * 8, prefix = 0;
    while (prefix < bits && (((r->lo[prefix / 8] ^ r->hi[prefix / 8]) >> (7 - prefix % 8)) & 1) == 0)
        prefix++;
    for (int i = prefix; i < bits; i++) {
        if ((r->lo[i / 8] >> (7 - i % 8)) & 1 || !((r->hi[i / 8] >> (7 - i % 8)) & 1))
            return -1;
    }
    return prefix;
}

void ip_range_print(struct buf *out, const struct ip_range *r)
{
    char text[INET6_ADDRSTRLEN] = "";
    int prefix = range_prefix(r);
    inet_ntop(r->family, r->lo, text, sizeof(text));
    buf_adds(out, text);
    if (prefix == (int)ip_size(r->family) * 8)
        return;
    if (prefix >= 0) {
        buf_printf(out, "/%d", prefix);
        return;
    }
    inet_ntop(r->family, r->hi, text, sizeof(text));
    buf_printf(out, "-%s", text);
}

bool mac_parse(const char *text, uint8_t ret[ETH_ALEN])
{
    uint8_t mac[ETH_ALEN];
    if (!text || strlen(text) != 17)
        return false;
    for (int i = 0; i < ETH_ALEN; i++) {
        const char *p = text + (ptrdiff_t)i * 3;
        if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || (i < 5 && p[2] != ':'))
            return false;
        char pair[3] = { p[0], p[1], 0 };
        mac[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    memcpy(ret, mac, ETH_ALEN);
    return true;
}

char *mac_text(const uint8_t mac[ETH_ALEN], char out[MAC_TEXT_SIZE])
{
    snprintf(out, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
    return out;
}

struct ip mac_link_local(const uint8_t mac[ETH_ALEN])
{
    return (struct ip){ .family = AF_INET6,
                        .bytes = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe,
                                   mac[3], mac[4], mac[5] } };
}
