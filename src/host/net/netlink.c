/* Sockets and links; see netlink.h. Messages are built and parsed with libnl, whose own
 * caches are not used: they would remember what only the kernel should. */
#include "host/net/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netlink/attr.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct netlink {
    struct nl_sock *socket;
    struct nl_cb *cb;
    int error;
    char message[160];
    netlink_each each;
    void *arg;
    bool done;
};

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
    (void)from;
    struct netlink *n = arg;
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)((const char *)e - NLMSG_HDRLEN);
    n->error = e->error;
    n->message[0] = 0;
    if (h->nlmsg_flags & NLM_F_ACK_TLVS) {
        size_t skip = sizeof(*e);
        if (!(h->nlmsg_flags & NLM_F_CAPPED))
            skip += NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(struct nlmsghdr);
        const struct nlattr *at =
            nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, (int)skip, NLMSGERR_ATTR_MSG);
        if (at)
            snprintf(n->message, sizeof(n->message), "%.*s", (int)strnlen(nla_data(at), (size_t)nla_len(at)),
                     (const char *)nla_data(at));
    }
    n->done = true;
    return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
    (void)msg;
    ((struct netlink *)arg)->done = true;
    return NL_STOP;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
    struct netlink *n = arg;
    if (n->each && n->error == 0) {
        int r = n->each(n->arg, nlmsg_hdr(msg));
        if (r < 0)
            n->error = r; /* go on reading: the rest of the answer must not stay behind */
    }
    return NL_OK;
}

int netlink_open(int protocol, struct netlink **ret)
{
    _cleanup_(netlink_closep) struct netlink *n = calloc(1, sizeof(*n));
    if (!n || !(n->socket = nl_socket_alloc()) || !(n->cb = nl_cb_alloc(NL_CB_DEFAULT)))
        return -ENOMEM;
    if (nl_connect(n->socket, protocol) < 0)
        return -EPROTONOSUPPORT;
    nl_socket_set_buffer_size(n->socket, 1 << 20, 1 << 18);
    nl_socket_set_msg_buf_size(n->socket, 1 << 16);
    int one = 1;
    (void)setsockopt(nl_socket_get_fd(n->socket), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
    (void)setsockopt(nl_socket_get_fd(n->socket), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
    nl_cb_err(n->cb, NL_CB_CUSTOM, on_error, n);
    nl_cb_set(n->cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, n);
    nl_cb_set(n->cb, NL_CB_FINISH, NL_CB_CUSTOM, on_ack, n);
    nl_cb_set(n->cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, n);
    *ret = TAKE_PTR(n);
    return 0;
}

void netlink_close(struct netlink *n)
{
    if (!n)
        return;
    if (n->cb)
        nl_cb_put(n->cb);
    if (n->socket)
        nl_socket_free(n->socket);
    free(n);
}

const char *netlink_message(const struct netlink *n)
{
    return n->message;
}

static int exchange(struct netlink *n, struct nl_msg *msg, netlink_each each, void *arg)
{
    if (!msg)
        return -ENOMEM;
    n->error = 0;
    n->message[0] = 0;
    n->done = false;
    n->each = each;
    n->arg = arg;
    int r = nl_send_auto(n->socket, msg);
    nlmsg_free(msg);
    if (r < 0)
        return -EIO;
    while (!n->done) {
        r = nl_recvmsgs(n->socket, n->cb);
        if (r < 0 && !n->done)
            return n->error ? n->error : -EIO;
    }
    return n->error;
}

int netlink_call(struct netlink *n, struct nl_msg *msg)
{
    if (msg)
        nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
    return exchange(n, msg, NULL, NULL);
}

int netlink_dump(struct netlink *n, struct nl_msg *msg, netlink_each each, void *arg)
{
    return exchange(n, msg, each, arg);
}

/* --- links --- */

struct listing {
    struct arena *a;
    struct links *links;
};

static uint32_t get_u32(const struct nlattr *at)
{
    return at ? nla_get_u32(at) : 0;
}

static void parse_kind(const struct nlattr *info, struct link *l)
{
    struct nlattr *tb[IFLA_INFO_MAX + 1], *data[64] = { 0 };
    if (nla_parse_nested(tb, IFLA_INFO_MAX, (struct nlattr *)(uintptr_t)info, NULL) < 0)
        return;
    if (tb[IFLA_INFO_KIND])
        nla_strlcpy(l->kind, tb[IFLA_INFO_KIND], sizeof(l->kind));
    if (tb[IFLA_INFO_DATA] && STREQ(l->kind, "vxlan") &&
        nla_parse_nested(data, IFLA_VXLAN_MAX < 63 ? IFLA_VXLAN_MAX : 63, tb[IFLA_INFO_DATA], NULL) == 0) {
        l->vni = get_u32(data[IFLA_VXLAN_ID]);
        if (data[IFLA_VXLAN_LOCAL])
            nla_memcpy(l->local, data[IFLA_VXLAN_LOCAL], 4);
        if (data[IFLA_VXLAN_PORT])
            l->port = ntohs(nla_get_u16(data[IFLA_VXLAN_PORT]));
    } else if (tb[IFLA_INFO_DATA] && STREQ(l->kind, "vlan") &&
               nla_parse_nested(data, IFLA_VLAN_MAX, tb[IFLA_INFO_DATA], NULL) == 0) {
        if (data[IFLA_VLAN_ID])
            l->tag = nla_get_u16(data[IFLA_VLAN_ID]);
    } else if (tb[IFLA_INFO_DATA] && STREQ(l->kind, "bridge") &&
               nla_parse_nested(data, IFLA_BR_MAX < 63 ? IFLA_BR_MAX : 63, tb[IFLA_INFO_DATA], NULL) == 0) {
        l->filtered = data[IFLA_BR_NF_CALL_IPTABLES] && nla_get_u8(data[IFLA_BR_NF_CALL_IPTABLES]) &&
                      data[IFLA_BR_NF_CALL_IP6TABLES] && nla_get_u8(data[IFLA_BR_NF_CALL_IP6TABLES]);
    }
    memset(data, 0, sizeof(data));
    if (tb[IFLA_INFO_SLAVE_DATA] && tb[IFLA_INFO_SLAVE_KIND] &&
        STREQ(nla_get_string(tb[IFLA_INFO_SLAVE_KIND]), "bridge") &&
        nla_parse_nested(data, IFLA_BRPORT_MAX < 63 ? IFLA_BRPORT_MAX : 63, tb[IFLA_INFO_SLAVE_DATA], NULL) ==
            0) {
        l->learning = data[IFLA_BRPORT_LEARNING] && nla_get_u8(data[IFLA_BRPORT_LEARNING]);
        l->suppress = data[IFLA_BRPORT_NEIGH_SUPPRESS] && nla_get_u8(data[IFLA_BRPORT_NEIGH_SUPPRESS]);
    }
}

static int on_link(void *arg, const struct nlmsghdr *h)
{
    struct listing *ls = arg;
    struct nlattr *tb[IFLA_MAX + 1];
    const struct ifinfomsg *ifi = nlmsg_data(h);
    if (h->nlmsg_type != RTM_NEWLINK)
        return 0;
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(*ifi), tb, IFLA_MAX, NULL) < 0)
        return -EBADMSG;
    struct link *l = vec_add(ls->a, &ls->links->all);
    if (!l)
        return -ENOMEM;
    l->index = ifi->ifi_index;
    l->flags = ifi->ifi_flags;
    l->alias = "";
    if (tb[IFLA_IFNAME])
        nla_strlcpy(l->name, tb[IFLA_IFNAME], sizeof(l->name));
    if (tb[IFLA_IFALIAS])
        l->alias = str_or(arena_strdup(ls->a, nla_get_string(tb[IFLA_IFALIAS])), "");
    l->master = (int)get_u32(tb[IFLA_MASTER]);
    l->parent = (int)get_u32(tb[IFLA_LINK]);
    l->mtu = get_u32(tb[IFLA_MTU]);
    l->group = get_u32(tb[IFLA_GROUP]);
    if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == ETH_ALEN)
        nla_memcpy(l->mac, tb[IFLA_ADDRESS], ETH_ALEN);
    if (tb[IFLA_LINKINFO])
        parse_kind(tb[IFLA_LINKINFO], l);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct link *)a)->name, ((const struct link *)b)->name);
}

static int by_index(const void *a, const void *b)
{
    const struct link *x = *(struct link *const *)a, *y = *(struct link *const *)b;
    return x->index < y->index ? -1 : x->index > y->index;
}

int links_list(struct netlink *n, struct arena *a, struct links *ret)
{
    struct links l = { 0 };
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP);
    struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
    if (!msg || nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(msg, IFLA_EXT_MASK, 1 << 3 /* RTEXT_FILTER_SKIP_STATS */) < 0) {
        nlmsg_free(msg);
        return -ENOMEM;
    }
    struct listing ls = { a, &l };
    int r = netlink_dump(n, msg, on_link, &ls);
    if (r < 0)
        return r;
    l.by_index = ARENA_NEWN(a, struct link *, l.all.n + 1);
    if (!l.by_index)
        return -ENOMEM;
    if (l.all.n)
        qsort(l.all.v, l.all.n, sizeof(*l.all.v), by_name);
    for (size_t i = 0; i < l.all.n; i++)
        l.by_index[i] = &l.all.v[i];
    if (l.all.n)
        qsort(l.by_index, l.all.n, sizeof(struct link *), by_index);
    *ret = l;
    return 0;
}

const struct link *links_find(const struct links *l, const char *name)
{
    size_t lo = 0, hi = l->all.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(l->all.v[mid].name, name);
        if (c == 0)
            return &l->all.v[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct link *links_index(const struct links *l, int index)
{
    size_t lo = 0, hi = l->all.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->by_index[mid]->index == index)
            return l->by_index[mid];
        if (l->by_index[mid]->index < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

int link_get(struct netlink *n, struct arena *a, const char *name, const struct link **ret)
{
    struct links l = { 0 };
    struct listing ls = { a, &l };
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK);
    struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
    if (!msg || nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO) < 0 ||
        nla_put_string(msg, IFLA_IFNAME, name) < 0) {
        nlmsg_free(msg);
        return -ENOMEM;
    }
    int r = netlink_dump(n, msg, on_link, &ls);
    if (r < 0)
        return r;
    if (l.all.n != 1)
        return -ENODEV;
    *ret = &l.all.v[0];
    return 0;
}

static struct nl_msg *link_message(int type, int flags, int index, unsigned up, unsigned change)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
    struct ifinfomsg ifi = {
        .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = up, .ifi_change = change
    };
    if (msg && nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

/* What the new link's kind needs. Appending to a message of a page can't fail here: all of
 * it is a few hundred bytes. */
static void put_kind(struct nl_msg *msg, const struct link_new *l)
{
    struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO);
    nla_put_string(msg, IFLA_INFO_KIND, l->kind);
    struct nlattr *data = nla_nest_start(msg, IFLA_INFO_DATA);
    if (STREQ(l->kind, "bridge")) {
        nla_put_u32(msg, IFLA_BR_FORWARD_DELAY, 0);
        nla_put_u32(msg, IFLA_BR_STP_STATE, 0);
        nla_put_u8(msg, IFLA_BR_MCAST_SNOOPING, 0);
        nla_put_u8(msg, IFLA_BR_NF_CALL_IPTABLES, 1);
        nla_put_u8(msg, IFLA_BR_NF_CALL_IP6TABLES, 1);
    } else if (STREQ(l->kind, "vxlan")) {
        nla_put_u32(msg, IFLA_VXLAN_ID, l->vni);
        if (l->local.family == AF_INET)
            nla_put(msg, IFLA_VXLAN_LOCAL, 4, l->local.bytes);
        else if (l->local.family == AF_INET6)
            nla_put(msg, IFLA_VXLAN_LOCAL6, 16, l->local.bytes);
        nla_put_u16(msg, IFLA_VXLAN_PORT, htons(l->port));
        nla_put_u8(msg, IFLA_VXLAN_LEARNING, 0);
    } else if (STREQ(l->kind, "vlan")) {
        nla_put_u16(msg, IFLA_VLAN_ID, l->tag);
    } else if (STREQ(l->kind, "veth")) {
        struct nlattr *peer = nla_nest_start(msg, VETH_INFO_PEER);
        struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
        nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
        nla_put_string(msg, IFLA_IFNAME, l->peer);
        nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)l->peer_netns);
        if (l->mtu)
            nla_put_u32(msg, IFLA_MTU, l->mtu);
        if (l->peer_mac)
            nla_put(msg, IFLA_ADDRESS, ETH_ALEN, l->peer_mac);
        nla_nest_end(msg, peer);
    }
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
}

int link_add(struct netlink *n, const struct link_new *l)
{
    struct nl_msg *msg = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
    if (!msg)
        return -ENOMEM;
    nla_put_string(msg, IFLA_IFNAME, l->name);
    if (l->mtu)
        nla_put_u32(msg, IFLA_MTU, l->mtu);
    if (l->mac)
        nla_put(msg, IFLA_ADDRESS, ETH_ALEN, l->mac);
    if (l->parent)
        nla_put_u32(msg, IFLA_LINK, (uint32_t)l->parent);
    put_kind(msg, l);
    int r = netlink_call(n, msg);
    if (r < 0 || !l->alias)
        return r;
    /* The kernel takes no alias at creation. */
    msg = link_message(RTM_NEWLINK, 0, 0, 0, 0);
    if (!msg)
        return -ENOMEM;
    nla_put_string(msg, IFLA_IFNAME, l->name);
    nla_put(msg, IFLA_IFALIAS, (int)strlen(l->alias), l->alias);
    return netlink_call(n, msg);
}

int link_delete(struct netlink *n, int index)
{
    return netlink_call(n, link_message(RTM_DELLINK, 0, index, 0, 0));
}

int link_set_group(struct netlink *n, int index, uint32_t group)
{
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, index, 0, 0);
    if (msg)
        nla_put_u32(msg, IFLA_GROUP, group);
    return netlink_call(n, msg);
}

int link_delete_group(struct netlink *n, uint32_t group)
{
    struct nl_msg *msg = link_message(RTM_DELLINK, 0, 0, 0, 0);
    if (msg)
        nla_put_u32(msg, IFLA_GROUP, group);
    return netlink_call(n, msg);
}

int link_change(struct netlink *n, int index, const struct link_change *c)
{
    unsigned change = c->up == LINK_KEEP ? 0 : IFF_UP;
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, index, c->up == 1 ? IFF_UP : 0, change);
    if (!msg)
        return -ENOMEM;
    if (c->master != LINK_KEEP)
        nla_put_u32(msg, IFLA_MASTER, (uint32_t)c->master);
    if (c->mtu)
        nla_put_u32(msg, IFLA_MTU, c->mtu);
    if (c->mac)
        nla_put(msg, IFLA_ADDRESS, ETH_ALEN, c->mac);
    if (c->alias)
        nla_put(msg, IFLA_IFALIAS, (int)strlen(c->alias), c->alias);
    return netlink_call(n, msg);
}

int link_bridge_port(struct netlink *n, int index, bool learning, bool suppress)
{
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, index, 0, 0);
    if (!msg)
        return -ENOMEM;
    struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO);
    nla_put_string(msg, IFLA_INFO_SLAVE_KIND, "bridge");
    struct nlattr *data = nla_nest_start(msg, IFLA_INFO_SLAVE_DATA);
    nla_put_u8(msg, IFLA_BRPORT_LEARNING, learning);
    nla_put_u8(msg, IFLA_BRPORT_NEIGH_SUPPRESS, suppress);
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
    return netlink_call(n, msg);
}

int link_bridge_filter(struct netlink *n, int index)
{
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, index, 0, 0);
    if (!msg)
        return -ENOMEM;
    struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO);
    nla_put_string(msg, IFLA_INFO_KIND, "bridge");
    struct nlattr *data = nla_nest_start(msg, IFLA_INFO_DATA);
    nla_put_u8(msg, IFLA_BR_NF_CALL_IPTABLES, 1);
    nla_put_u8(msg, IFLA_BR_NF_CALL_IP6TABLES, 1);
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
    return netlink_call(n, msg);
}

int tap_add(const char *name, uid_t owner)
{
    _cleanup_(closep) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    memcpy(ifr.ifr_name, name, MIN(strlen(name), sizeof(ifr.ifr_name) - 1));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETOWNER, (unsigned long)owner) < 0 ||
        ioctl(fd, TUNSETPERSIST, 1UL) < 0)
        return -errno;
    return 0;
}
