/*
 * Fuzz: addresses, prefixes and security group rules as tenants write them.
 *
 * The first byte chooses. What parses is written in one way only and reads back as the same; ranges hold
 * their ends; a rule that is taken has only values that hosts know.
 */
#include "network/internal.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

static void addresses(struct arena *a, const char *text)
{
    struct ip ip, again;
    struct cidr net, back = { 0 };
    uint8_t mac[6];
    if (ip_parse(text, &ip)) {
        const char *canonical = ip_text(a, ip);
        require(canonical && ip_parse(canonical, &again) && again.n == ip.n && again.version == ip.version);
        require(!check_ip(text));
    }
    if (cidr_parse(text, false, &net)) {
        const char *canonical = cidr_text(a, net);
        struct ip last = cidr_last(net);
        require(canonical && cidr_parse(canonical, true, &back) && back.first.n == net.first.n &&
                back.prefix == net.prefix);
        require(net.prefix >= 0 && net.prefix <= ip_bits(net.first.version));
        require(cidr_has(net, net.first) && cidr_has(net, last) && last.n >= net.first.n &&
                cidr_size(net) >= 1);
        require(cidr_overlap(net, back));
        struct ip made;
        if (net.first.version == 6 && net.prefix == 64 && ip_eui64(net, "fa:16:3e:00:00:01", &made))
            require(cidr_has(net, made));
    }
    if (mac_parse(text, mac)) {
        const char *canonical = mac_text(a, text);
        require(canonical && strlen(canonical) == 17 && mac_parse(canonical, mac));
    }
}

static void spans(const char *text)
{
    int64_t first, last;
    if (forwarding_span(text, INT_NULL, &first, &last))
        require(first >= 1 && first <= last && last <= 65535);
}

static void rule(struct arena *a, const char *text, size_t n)
{
    char error[200];
    json_t *tree = json_parse(text, n, error, sizeof(error));
    struct security_rule out = { 0 };
    struct given given;
    struct decode_error e;
    if (tree && json_is_object(tree) &&
        schema_decode(SECURITY_RULE_KIND.schema, tree, DECODE_CREATE, 0, a, &out, &given, &e) == 0) {
        require(STREQ(out.direction, "ingress") || STREQ(out.direction, "egress"));
        struct cidr net;
        if (out.remote_ip_prefix)
            require(cidr_parse(out.remote_ip_prefix, false, &net));
    }
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 4096)
        return 0;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    const char *text = arena_strndup(a, (const char *)data + 1, size - 1);
    if (data[0] % 3 == 0)
        addresses(a, text);
    else if (data[0] % 3 == 1)
        spans(text);
    else
        rule(a, text, strlen(text));
    return 0;
}
