/* IP and MAC addresses as numbers: see the header. */
#include "network/address.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

bool ip_parse(const char *text, struct ip *ret)
{
    unsigned char raw[16];
    if (!text)
        return false;
    int size;
    if (inet_pton(AF_INET, text, raw) == 1) {
        ret->version = 4;
        size = 4;
    } else if (inet_pton(AF_INET6, text, raw) == 1) {
        ret->version = 6;
        size = 16;
    } else {
        return false;
    }
    ret->n = 0;
    for (int i = 0; i < size; i++)
        ret->n = ret->n << 8 | raw[i];
    return true;
}

const char *ip_text(struct arena *a, struct ip ip)
{
    unsigned char raw[16];
    char text[INET6_ADDRSTRLEN];
    int size = ip.version == 4 ? 4 : 16;
    for (int i = size; i-- > 0; ip.n >>= 8)
        raw[i] = (unsigned char)(ip.n & 0xff);
    return arena_strdup(a, inet_ntop(ip.version == 4 ? AF_INET : AF_INET6, raw, text, sizeof(text)));
}

int ip_bits(int version)
{
    return version == 4 ? 32 : 128;
}

static ip_number host_mask(int version, int prefix)
{
    int bits = ip_bits(version) - prefix;
    return bits == 0 ? 0 : bits == 128 ? ~(ip_number)0 : ((ip_number)1 << bits) - 1;
}

bool cidr_parse(const char *text, bool exact, struct cidr *ret)
{
    char copy[64];
    if (!text || (size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
        return false;
    char *slash = strchr(copy, '/');
    if (slash)
        *slash++ = 0;
    if (!ip_parse(copy, &ret->first))
        return false;
    int bits = ip_bits(ret->first.version);
    ret->prefix = bits;
    if (slash) {
        char *end;
        long n = strtol(slash, &end, 10);
        if (!isdigit((unsigned char)*slash) || *end || n > bits)
            return false;
        ret->prefix = (int)n;
    }
    ip_number mask = host_mask(ret->first.version, ret->prefix);
    if (exact && (ret->first.n & mask))
        return false;
    ret->first.n &= ~mask;
    return true;
}

const char *cidr_text(struct arena *a, struct cidr c)
{
    const char *first = ip_text(a, c.first);
    return first ? arena_printf(a, "%s/%d", first, c.prefix) : NULL;
}

struct ip cidr_last(struct cidr c)
{
    return (struct ip){ c.first.version, c.first.n | host_mask(c.first.version, c.prefix) };
}

bool cidr_has(struct cidr c, struct ip ip)
{
    return ip.version == c.first.version && ip.n >= c.first.n && ip.n <= cidr_last(c).n;
}

bool cidr_overlap(struct cidr a, struct cidr b)
{
    return cidr_has(a, b.first) || cidr_has(b, a.first);
}

uint64_t cidr_size(struct cidr c)
{
    ip_number n = host_mask(c.first.version, c.prefix);
    return n >= UINT64_MAX ? UINT64_MAX : (uint64_t)n + 1;
}

bool mac_parse(const char *text, uint8_t out[6])
{
    for (int i = 0; i < 6; i++) {
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
            return false;
        char pair[3] = { text[0], text[1], 0 };
        out[i] = (uint8_t)strtol(pair, NULL, 16);
        text += 2;
        if (i < 5 && *text != ':' && *text != '-')
            return false;
        text += i < 5;
    }
    return *text == 0;
}

static const char *write_mac(struct arena *a, const uint8_t m[6])
{
    return arena_printf(a, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

const char *mac_text(struct arena *a, const char *text)
{
    uint8_t m[6];
    return mac_parse(text, m) ? write_mac(a, m) : NULL;
}

const char *mac_random(struct arena *a, const char *prefix)
{
    uint8_t m[6];
    unsigned head[3] = { 0xfa, 0x16, 0x3e };
    (void)sscanf(prefix, "%2x:%2x:%2x", &head[0], &head[1], &head[2]);
    random_bytes(m, sizeof(m));
    for (int i = 0; i < 3; i++)
        m[i] = (uint8_t)head[i];
    m[0] &= 0xfe; /* never a group address */
    return write_mac(a, m);
}

bool ip_eui64(struct cidr net, const char *mac, struct ip *ret)
{
    uint8_t m[6];
    if (net.first.version != 6 || net.prefix > 64 || !mac_parse(mac, m))
        return false;
    uint64_t id = (uint64_t)(m[0] ^ 2) << 56 | (uint64_t)m[1] << 48 | (uint64_t)m[2] << 40 |
                  (uint64_t)0xfffe << 24 | (uint64_t)m[3] << 16 | (uint64_t)m[4] << 8 | m[5];
    *ret = (struct ip){ 6, net.first.n | id };
    return true;
}

const char *check_ip(const char *s)
{
    struct ip ip;
    return ip_parse(s, &ip) ? NULL : "is not a valid IP address";
}

const char *check_cidr(const char *s)
{
    struct cidr c;
    return strchr(s, '/') && cidr_parse(s, false, &c) ? NULL : "is not a valid IP subnet";
}

const char *check_ip_or_cidr(const char *s)
{
    struct cidr c;
    return cidr_parse(s, false, &c) ? NULL : "is not a valid IP address or subnet";
}

const char *check_mac(const char *s)
{
    uint8_t m[6];
    return mac_parse(s, m) && !(m[0] & 1) ? NULL : "is not a valid MAC address";
}
