#!/bin/bash
# Builds "tinycloud", the small guest that the demo and the tests boot: a disk of 96 MiB, 20 MB as
# qcow2, at its login prompt in five to nine seconds without KVM.
#
#   build.sh [-o OUT.qcow2] [-w WORKDIR] [-s DISK_MB] [-p PASSWORD] [-k] [-r]
#
#     -o  output qcow2                       (default ./tinycloud.qcow2)
#     -w  work directory, also package cache (default ./tinycloud-work)
#     -s  virtual disk size in MiB           (default 96)
#     -p  password of users root and cloud   (default "cloud")
#     -k  also leave OUT.vmlinuz and OUT.initrd beside OUT, for direct kernel
#         boot of the same disk (append: root=LABEL=tinyroot console=ttyS0)
#     -r  also leave a raw image OUT.raw
#
# The guest is Debian's cloud kernel, a busybox user space, dropbear, qemu-guest-agent and jq on an
# MBR disk: a FAT boot partition (syslinux) and an ext4 root that grows to the disk on every boot.
# It boots under SeaBIOS from virtio-blk, virtio-scsi or IDE. Every piece comes out of Debian
# packages that are downloaded and unpacked, never installed: no initramfs tool, no chroot, no loop
# mount, so the script needs neither root nor KVM.
#
# In the guest:
#   - config drive (label config-2, iso9660 or vfat, on any bus the kernel knows), else the metadata
#     service at 169.254.169.254 (OpenStack's layout, then EC2's): hostname, ssh keys (root and
#     cloud), admin_pass, user_data (#! scripts, gzipped too; once for each instance id),
#     network_data.json (static IPv4)
#   - DHCP on every NIC without static data (options 1 3 6 12 15 26 121)
#   - hotplug: CPUs and memory are taken on line, new NICs get DHCP, disks appear
#   - ACPI power button: clean shutdown; guest agent including set-user-password
#   - consoles: getty on ttyS0 and tty1; a line TINYCLOUD-READY on the console when all is up
#
# Tools (tools/deps image): qemu-utils mtools dosfstools e2fsprogs fdisk cpio kmod zstd xz-utils
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

OUT=./tinycloud.qcow2 WORK=./tinycloud-work DISK_MB=96 PASSWORD=cloud KEEP=0 RAW=0
ALLARGS=("$@")
while getopts o:w:s:p:krh o; do case $o in
  o) OUT=$OPTARG ;; w) WORK=$OPTARG ;; s) DISK_MB=$OPTARG ;; p) PASSWORD=$OPTARG ;;
  k) KEEP=1 ;; r) RAW=1 ;; *) sed -n '2,/^set /p' "$0" | sed 's/^# \{0,1\}//;$d'; exit 0 ;;
esac; done

# Files must be owned by uid 0 inside the image: become root of a user namespace.
if [ "$(id -u)" != 0 ]; then exec unshare -r bash "$0" "${ALLARGS[@]}"; fi

for t in qemu-img mcopy mkfs.vfat mke2fs sfdisk cpio depmod zstd apt-get dpkg-deb; do
  command -v $t >/dev/null || { echo "missing tool: $t" >&2; exit 1; }
done

mkdir -p "$WORK"; WORK=$(cd "$WORK" && pwd)
mkdir -p "$(dirname "$OUT")"; OUT=$(cd "$(dirname "$OUT")" && pwd)/$(basename "$OUT")
DEBS=$WORK/debs STAGE=$WORK/stage ROOT=$WORK/root IRD=$WORK/initrd
BOOT_MB=22                                     # FAT boot partition

# ---------------------------------------------------------------- packages
KPKG=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/{print $2; exit}')
KVER=${KPKG#linux-image-}
PKGS="$KPKG busybox-static dropbear-bin qemu-guest-agent jq e2fsprogs syslinux syslinux-common
  libc6 libcrypt1 zlib1g libgmp10 libtommath1 libtomcrypt1 libglib2.0-0 libpcre2-8-0 libudev1
  liburing2 libjq1 libonig5 libext2fs2 libcom-err2 libblkid1 libuuid1 libgcc-s1 libnuma1"
mkdir -p "$DEBS"
missing=; for p in $PKGS; do ls "$DEBS/$p"_*.deb >/dev/null 2>&1 || missing="$missing $p"; done
if [ -n "$missing" ]; then
  (cd "$DEBS" && apt-get -qq -o APT::Sandbox::User=root download $missing)
fi
rm -rf "$STAGE" "$ROOT" "$IRD"; mkdir -p "$STAGE" "$ROOT" "$IRD"
for d in "$DEBS"/*.deb; do dpkg-deb -x "$d" "$STAGE"; done
BB=$STAGE/bin/busybox; MODSRC=$STAGE/lib/modules/$KVER

# ---------------------------------------------------------------- helpers
depmod -b "$STAGE" "$KVER"
copy_modules() {        # copy_modules DESTROOT module... : with dependencies, decompressed
  local dest=$1 m f d; shift
  for m in "$@"; do
    m=${m//-/_}
    f=$(awk -F: -v m="$m" '{n=$1; sub(/.*\//,"",n); sub(/\.ko.*/,"",n); gsub(/-/,"_",n);
                            if (n==m) {print $1 $2; exit}}' "$MODSRC/modules.dep")
    [ -n "$f" ] || { echo "note: no module $m in this kernel" >&2; continue; }
    for d in $f; do
      mkdir -p "$dest/lib/modules/$KVER/$(dirname "$d")"
      cp "$MODSRC/$d" "$dest/lib/modules/$KVER/$d"
      case $d in *.xz) xz -df "$dest/lib/modules/$KVER/$d" ;; esac
    done
  done
  cp "$MODSRC"/modules.builtin* "$MODSRC/modules.order" "$dest/lib/modules/$KVER/"
  depmod -b "$dest" "$KVER"
}
LIBDIRS=$STAGE/lib/x86_64-linux-gnu:$STAGE/usr/lib/x86_64-linux-gnu
copy_bin() {            # copy_bin STAGED-PATH DEST-PATH : with the shared libraries it needs
  local lib
  install -D -m755 "$STAGE/$1" "$ROOT/$2"
  "$STAGE"/lib64/ld-linux-x86-64.so.2 --library-path "$LIBDIRS" --list "$STAGE/$1" > "$WORK/ldd"
  if grep -q 'not found' "$WORK/ldd"; then echo "$1: missing library"; cat "$WORK/ldd"; exit 1; fi >&2
  awk '$2=="=>"{print $3}' "$WORK/ldd" | while read -r lib; do
    install -D -m755 "$lib" "$ROOT/lib/x86_64-linux-gnu/$(basename "$lib")"
  done
}

# ---------------------------------------------------------------- root file system
cd "$ROOT"
mkdir -p bin sbin etc/init.d etc/acpi/PWRF etc/dropbear dev proc sys run tmp mnt root/.ssh \
         home/cloud/.ssh lib lib64 usr/bin usr/sbin usr/lib/tinycloud var/lib/tinycloud var/log
ln -s ../run var/run; ln -s ../tmp var/tmp; chmod 1777 tmp; chmod 700 root root/.ssh home/cloud/.ssh
cp "$BB" bin/busybox
for a in $("$BB" --list); do [ "$a" = busybox ] || ln -sf /bin/busybox "bin/$a"; done
ln -sf /bin/busybox sbin/init; rm -f bin/linuxrc
install -D -m755 "$STAGE/lib64/ld-linux-x86-64.so.2" lib64/ld-linux-x86-64.so.2
copy_bin usr/sbin/dropbear usr/sbin/dropbear
copy_bin usr/bin/dropbearkey usr/bin/dropbearkey
copy_bin usr/bin/dbclient usr/bin/dbclient; ln -s dbclient usr/bin/ssh
copy_bin usr/bin/jq usr/bin/jq
copy_bin usr/sbin/qemu-ga usr/sbin/qemu-ga
copy_bin sbin/resize2fs usr/sbin/resize2fs
copy_bin sbin/mke2fs usr/sbin/mkfs.ext4
copy_modules "$ROOT" virtio_pci virtio_blk virtio_scsi virtio_net virtio_balloon virtio_console \
  virtio_rng virtio_mem virtio_input virtiofs fuse sd_mod sr_mod sg ata_piix ata_generic \
  isofs vfat fat nls_cp437 nls_ascii nls_utf8 nls_iso8859_1 evdev button 8021q overlay dummy veth \
  vsock vmw_vsock_virtio_transport qemu_fw_cfg pvpanic_pci

HASH=$("$BB" mkpasswd -m sha256 -S tinycloudsalt "$PASSWORD")
cat > etc/passwd <<E
root:x:0:0:root:/root:/bin/sh
cloud:x:1000:1000:cloud:/home/cloud:/bin/sh
E
cat > etc/group <<E
root:x:0:
tty:x:5:
cloud:x:1000:
E
cat > etc/shadow <<E
root:$HASH:19700:0:99999:7:::
cloud:$HASH:19700:0:99999:7:::
E
chmod 600 etc/shadow; chown -R 1000:1000 home/cloud 2>/dev/null || true
echo "127.0.0.1 localhost" > etc/hosts
echo tinycloud > etc/hostname
echo 'hosts: files dns' > etc/nsswitch.conf
printf '/bin/sh\n' > etc/shells
echo 'tinycloud \n \l' > etc/issue
printf 'NAME=tinycloud\nID=tinycloud\nVERSION_ID="1"\nPRETTY_NAME="tinycloud test guest"\n' > etc/os-release
printf 'export PATH=/bin:/sbin:/usr/bin:/usr/sbin PS1="\\u@\\h:\\w\\$ "\n' > etc/profile

cat > etc/inittab <<'E'
::sysinit:/etc/init.d/rcS
ttyS0::respawn:/bin/getty -L 115200 ttyS0 vt100
tty1::respawn:/bin/getty 38400 tty1
::respawn:/usr/lib/tinycloud/sshd
::respawn:/usr/lib/tinycloud/agent
::respawn:/bin/acpid -d -l /dev/null -p /run/acpid.pid
::ctrlaltdel:/bin/reboot
::shutdown:/etc/init.d/rcK
E

cat > etc/init.d/rcS <<'E'
#!/bin/sh
PATH=/bin:/sbin:/usr/bin:/usr/sbin; export PATH
mount -o remount,rw /
mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm
hostname -F /etc/hostname; ip link set lo up
echo online > /sys/devices/system/memory/auto_online_blocks 2>/dev/null
# hotplug first, then everything that is already there
uevent /usr/lib/tinycloud/hotplug </dev/null >/dev/null 2>&1 &
for m in evdev button sr_mod sd_mod isofs virtio_net virtio_console virtio_balloon virtio_rng; do modprobe $m 2>/dev/null; done
for a in $(cat /sys/bus/pci/devices/*/modalias /sys/bus/virtio/devices/*/modalias 2>/dev/null); do modprobe -q $a; done
D=$(findfs LABEL=tinyroot); [ -n "$D" ] && resize2fs $D >/dev/null 2>&1
/usr/lib/tinycloud/net coldplug
/usr/lib/tinycloud/init >/var/log/tinycloud.log 2>&1 &
E

cat > etc/init.d/rcK <<'E'
#!/bin/sh
echo "TINYCLOUD-SHUTDOWN" > /dev/console
sync; umount -a -r 2>/dev/null; mount -o remount,ro / 2>/dev/null; sync
E

printf '#!/bin/sh\nexec /bin/poweroff\n' > etc/acpi/PWRF/00000080

# the guest agent and scripts call these
cat > sbin/shutdown <<'E'
#!/bin/sh
for a in "$@"; do case $a in -r) exec /bin/reboot ;; -H) exec /bin/halt ;; esac; done
exec /bin/poweroff
E
cat > usr/sbin/chpasswd <<'E'
#!/bin/sh
# chpasswd [-e] : lines user:password on stdin
enc=0; [ "$1" = -e ] && enc=1
while IFS=: read -r u p; do
  [ $enc = 1 ] && h=$p || h=$(mkpasswd -m sha256 "$p")
  grep -q "^$u:" /etc/shadow || exit 1
  awk -F: -v OFS=: -v u="$u" -v h="$h" '$1==u{$2=h}{print}' /etc/shadow > /etc/shadow.new || exit 1
  chmod 600 /etc/shadow.new; mv /etc/shadow.new /etc/shadow
done
E

cat > usr/lib/tinycloud/sshd <<'E'
#!/bin/sh
K=/etc/dropbear/dropbear_ed25519_host_key
[ -s $K ] || { dropbearkey -t ed25519 -f $K.new >/dev/null 2>&1 && mv $K.new $K; }
exec /usr/sbin/dropbear -F -r $K
E

cat > usr/lib/tinycloud/agent <<'E'
#!/bin/sh
# run qemu-ga when the host gives us its channel (now or hotplugged)
PATH=/bin:/sbin:/usr/bin:/usr/sbin; export PATH
while :; do
  for n in /sys/class/virtio-ports/*/name; do
    [ "$(cat $n 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
    d=${n%/name}; mkdir -p /dev/virtio-ports
    ln -sf /dev/${d##*/} /dev/virtio-ports/org.qemu.guest_agent.0
    exec qemu-ga -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run
  done
  sleep 5
done
E

cat > usr/lib/tinycloud/hotplug <<'E'
#!/bin/sh
PATH=/bin:/sbin:/usr/bin:/usr/sbin; export PATH
case $ACTION:$SUBSYSTEM in
  add:cpu)    echo 1 > /sys$DEVPATH/online 2>/dev/null ;;
  add:memory) echo online > /sys$DEVPATH/state 2>/dev/null ;;
  add:net)    /usr/lib/tinycloud/net add $INTERFACE ;;
  remove:net) kill $(cat /run/udhcpc.$INTERFACE.pid) 2>/dev/null ;;
  add:*)      [ -n "$MODALIAS" ] && modprobe -q "$MODALIAS" ;;
esac
exit 0
E

cat > usr/lib/tinycloud/net <<'E'
#!/bin/sh
# net coldplug | net add IFACE
up() {
  case $1 in lo|dummy*|veth*|*.*) return ;; esac
  [ -e /run/net.$1 ] && return; touch /run/net.$1
  ip link set $1 up
  nd=/run/cloud/network_data.json
  if [ -s $nd ]; then
    mac=$(cat /sys/class/net/$1/address)
    jq -r --arg m $mac '(.links[]|select((.ethernet_mac_address|ascii_downcase)==$m)) as $l
       | ($l.mtu//empty|"mtu \(.)"),
         (.networks[]|select(.link==$l.id and .type=="ipv4")
          | "addr \(.ip_address) \(.netmask)", (.routes[]?|"route \(.network) \(.netmask) \(.gateway)")),
         (.services[]?|select(.type=="dns")|"dns \(.address)")' $nd > /run/net.$1.static
    if grep -q ^addr /run/net.$1.static; then
      while read -r k a b c; do case $k in
        mtu) ip link set $1 mtu $a ;;
        addr) case $a in */*) ip addr add $a dev $1 ;; *) ip addr add $a/$b dev $1 ;; esac ;;
        route) [ "$a" = 0.0.0.0 ] && ip route add default via $c dev $1 || ip route add $a/$b via $c dev $1 ;;
        dns) grep -q "nameserver $a" /etc/resolv.conf 2>/dev/null || echo nameserver $a >> /etc/resolv.conf ;;
      esac; done < /run/net.$1.static 2>/dev/null
      return
    fi
  fi
  udhcpc -i $1 -b -t 20 -T 1 -A 5 -S -O 26 -O 121 -p /run/udhcpc.$1.pid -x hostname:$(hostname) \
         -s /usr/lib/tinycloud/udhcpc >/dev/null 2>&1 &
}
case $1 in
  add) # events before the config drive has been read wait for coldplug
       [ -e /run/net.ready ] && up $2 ;;
  coldplug)
    D=$(findfs LABEL=config-2 2>/dev/null || findfs LABEL=CONFIG-2 2>/dev/null)
    if [ -n "$D" ] && mount -o ro $D /mnt 2>/dev/null; then
      mkdir -p /run/cloud; cp -r /mnt/openstack/latest/. /run/cloud/; cp -r /mnt/openstack/content /run/ 2>/dev/null
      umount /mnt; echo config-drive:$D > /run/cloud/source
    fi
    touch /run/net.ready
    for i in /sys/class/net/*; do up ${i##*/}; done ;;
esac
E

cat > usr/lib/tinycloud/udhcpc <<'E'
#!/bin/sh
case $1 in
deconfig) ip -4 addr flush dev $interface; ip link set $interface up ;;
bound|renew)
  [ $1 = bound ] && ip -4 addr flush dev $interface
  ip addr replace $ip/${mask:-24} ${broadcast:+broadcast $broadcast} dev $interface
  [ -n "$mtu" ] && ip link set $interface mtu $mtu
  m=$(( $(cat /sys/class/net/$interface/ifindex) + 100 ))
  if [ -n "$staticroutes" ]; then
    set -- $staticroutes
    while [ $# -ge 2 ]; do
      d=$1; [ $d = 0.0.0.0/0 ] && d=default
      if [ $2 = 0.0.0.0 ]; then ip route replace $d dev $interface metric $m
      else ip route replace $2/32 dev $interface metric $m; ip route replace $d via $2 dev $interface metric $m; fi
      shift 2
    done
  else for r in $router; do ip route replace default via $r dev $interface metric $m; done; fi
  if [ -n "$dns" ]; then : > /etc/resolv.conf; [ -n "$domain" ] && echo search $domain >> /etc/resolv.conf
    for s in $dns; do echo nameserver $s >> /etc/resolv.conf; done; fi
  touch /run/net.up ;;
esac
exit 0
E

cat > usr/lib/tinycloud/init <<'E'
#!/bin/sh
# cloud-init-like: data is in /run/cloud (config drive) or comes from the metadata service
PATH=/bin:/sbin:/usr/bin:/usr/sbin; export PATH
C=/run/cloud MD=http://169.254.169.254; mkdir -p $C
# (this busybox crashes on wget -T, hence timeout)
get() { timeout 5 wget -q -O "$2" "$1" 2>/dev/null || { rm -f "$2"; return 1; }; }
if [ ! -s $C/meta_data.json ]; then
  n=0; while [ ! -e /run/net.up ] && [ $n -lt 200 ]; do usleep 100000; n=$((n+1)); done
  for try in 1 2 3 4 5 6 7 8 9 10; do
    [ -e /run/net.up ] || break
    if get $MD/openstack/latest/meta_data.json $C/meta_data.json; then
      echo metadata-openstack > $C/source
      get $MD/openstack/latest/user_data $C/user_data
      get $MD/openstack/latest/vendor_data.json $C/vendor_data.json
      get $MD/openstack/latest/vendor_data2.json $C/vendor_data2.json
      break
    elif get $MD/latest/meta-data/instance-id $C/iid; then
      echo metadata-ec2 > $C/source
      get $MD/latest/meta-data/hostname $C/hn; get $MD/latest/meta-data/public-keys/0/openssh-key $C/key
      get $MD/latest/user-data $C/user_data
      jq -n --arg u "$(cat $C/iid)" --arg h "$(cat $C/hn)" --arg k "$(cat $C/key 2>/dev/null)" \
        '{uuid:$u,hostname:$h,public_keys:(if $k=="" then {} else {k:$k} end)}' > $C/meta_data.json
      break
    fi
    sleep 1
  done
fi
M=$C/meta_data.json; iid=none
if [ -s $M ]; then
  iid=$(jq -r '.uuid // "unknown"' $M)
  hn=$(jq -r '.hostname // .name // empty' $M); hn=${hn%%.*}
  if [ -n "$hn" ]; then hostname "$hn"; echo "$hn" > /etc/hostname; echo "127.0.0.1 localhost $hn" > /etc/hosts; fi
  jq -r '.public_keys // {} | .[]' $M > /run/keys
  if [ -s /run/keys ]; then
    cp /run/keys /root/.ssh/authorized_keys; cp /run/keys /home/cloud/.ssh/authorized_keys
    chmod 600 /root/.ssh/authorized_keys /home/cloud/.ssh/authorized_keys; chown -R 1000:1000 /home/cloud
  fi
  if [ "$(cat /var/lib/tinycloud/instance 2>/dev/null)" != "$iid" ]; then
    ap=$(jq -r '.admin_pass // empty' $M)
    [ -n "$ap" ] && printf 'root:%s\ncloud:%s\n' "$ap" "$ap" | chpasswd
    rm -f /etc/dropbear/*.old; echo "$iid" > /var/lib/tinycloud/instance; sync
    if [ -s $C/user_data ]; then
      cp $C/user_data /var/lib/tinycloud/user_data; U=/var/lib/tinycloud/user_data
      [ "$(head -c 2 $U | xxd -p)" = 1f8b ] && { mv $U $U.gz; gunzip -f $U.gz; }
      if [ "$(head -c 2 $U)" = '#!' ]; then
        chmod +x $U; $U > /var/log/user_data.log 2>&1; echo "user_data rc=$?"
        sed 's/^/user_data: /' /var/log/user_data.log | head -n 200 > /dev/console
      else echo "user_data: not a script, ignored" > /dev/console; fi
    fi
  fi
fi
ips=$(ip -4 -o addr show scope global | awk '{printf "%s%s=%s", s, $2, $4; s=","}')
echo "TINYCLOUD-READY source=$(cat $C/source 2>/dev/null || echo none) instance=$iid hostname=$(hostname) ip=$ips uptime=$(cut -d' ' -f1 /proc/uptime)" > /dev/console
E
# What test suites call in a guest and busybox lacks, as far as they use it.
cat > usr/bin/sudo <<'E'
#!/bin/sh
# Root already is who is asked for. The shell takes its own applets before any file, so what must not
# be an applet is named by its path here.
while :; do case $1 in -n|-E|-H|-S) shift ;; -u) shift 2 ;; --) shift; break ;; *) break ;; esac; done
case $1 in
  mke2fs) shift; exec /usr/sbin/mkfs.ext4 "$@" ;;
  nc) for a in "$@"; do shift; case $a in -lk) set -- "$@" -ll ;; *) set -- "$@" "$a" ;; esac; done ;;
esac
exec "$@"
E
cat > usr/bin/lsblk <<'E'
#!/bin/sh
printf '%-7s %-7s %2s %14s %2s %-4s %s\n' NAME MAJ:MIN RM SIZE RO TYPE MOUNTPOINTS
for d in /sys/block/*; do
  n=${d##*/}; case $n in loop*|ram*|zram*|fd*) continue ;; sr*) t=rom ;; *) t=disk ;; esac
  printf '%-7s %-7s %2s %14s %2s %-4s %s\n' $n $(cat $d/dev) $(cat $d/removable) \
    $(($(cat $d/size) * 512)) $(cat $d/ro) $t "$(awk -v d=/dev/$n '$1 == d {print $2; exit}' /proc/mounts)"
done
E
cat > usr/bin/blkid <<'E'
#!/bin/sh
# blkid -L LABEL | -U UUID [-o device]
case $1 in -L) exec findfs "LABEL=$2" ;; -U) exec findfs "UUID=$2" ;; esac
echo "blkid: only -L and -U" >&2; exit 2
E
cat > usr/bin/curl <<'E'
#!/bin/sh
# curl [-s] [-S] [-f] [-o FILE] [-m SECONDS] [-X METHOD] [-d DATA] URL
o=- m=60 d= has_d=0
while [ $# -gt 0 ]; do case $1 in
  -V|--version) echo "curl (wget of busybox)"; exit 0 ;;
  -o) o=$2; shift ;; -m|--max-time|--connect-timeout) m=$2; shift ;; -X|-H) shift ;;
  -d|--data) d=$2 has_d=1; shift ;; -*) ;; *) u=$1 ;; esac; shift; done
if [ $has_d = 1 ]; then exec timeout "$m" wget -q -O "$o" --post-data "$d" "$u"; fi
exec timeout "$m" wget -q -O "$o" "$u"
E
chmod 755 etc/init.d/* etc/acpi/PWRF/* sbin/shutdown usr/sbin/chpasswd usr/lib/tinycloud/* \
  usr/bin/sudo usr/bin/lsblk usr/bin/blkid usr/bin/curl

# ---------------------------------------------------------------- initrd
cd "$IRD"
mkdir -p bin dev proc sys mnt lib
cp "$BB" bin/busybox
copy_modules "$IRD" virtio_pci virtio_blk virtio_scsi sd_mod ata_piix ata_generic
cat > init <<'E'
#!/bin/busybox sh
/bin/busybox mkdir -p /bin; /bin/busybox --install -s /bin; PATH=/bin; export PATH
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for m in virtio_pci virtio_blk virtio_scsi sd_mod ata_piix ata_generic; do modprobe -q $m; done
n=0; while ! D=$(findfs LABEL=tinyroot 2>/dev/null); do
  n=$((n+1)); [ $n -gt 200 ] && { echo "tinycloud: no root device"; exec sh; }; usleep 50000
done
# grow the last (second) MBR partition to the end of the disk
P=${D#/dev/}; S=/sys/class/block/$P; K=$(readlink -f $S/..); K=${K##*/}
total=$(cat /sys/class/block/$K/size) start=$(cat $S/start) size=$(cat $S/size)
new=$((total - start)); if [ $new -gt $((size + 2048)) ]; then
  printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((new&255)) $((new>>8&255)) $((new>>16&255)) $((new>>24&255)))" |
    dd of=/dev/$K bs=1 seek=474 conv=notrunc 2>/dev/null
  blockdev --rereadpt /dev/$K 2>/dev/null
fi
mount -t ext4 -o rw $D /mnt || exec sh
umount /sys /proc; mount -o move /dev /mnt/dev 2>/dev/null || mount -t devtmpfs dev /mnt/dev
mount -t proc proc /mnt/proc; mount -t sysfs sys /mnt/sys
exec switch_root /mnt /sbin/init
E
chmod 755 init; mkdir -p dev
rm -f bin/sh; ln -s busybox bin/sh
find . -print0 | cpio -0o -H newc --quiet | zstd -q -19 > "$WORK/initrd.img"

# ---------------------------------------------------------------- disk image
cd "$WORK"
rm -f disk.raw boot.img root.img
ROOT_MB=$((DISK_MB - BOOT_MB - 1))
cp "$STAGE/boot/vmlinuz-$KVER" vmlinuz
cat > syslinux.cfg <<'E'
SERIAL 0 115200
DEFAULT linux
PROMPT 0
LABEL linux
  KERNEL vmlinuz
  APPEND initrd=initrd.img root=LABEL=tinyroot console=tty0 console=ttyS0,115200n8 net.ifnames=0 mitigations=off no_timer_check loglevel=5
E
truncate -s ${BOOT_MB}M boot.img
mkfs.vfat -n TINYBOOT boot.img >/dev/null
MTOOLS_SKIP_CHECK=1 mcopy -i boot.img vmlinuz initrd.img syslinux.cfg ::/
"$STAGE/usr/bin/syslinux" --install boot.img
truncate -s ${ROOT_MB}M root.img
mke2fs -q -t ext4 -L tinyroot -m 0 -O ^has_journal,^metadata_csum -E root_owner=0:0,resize=64G -N 4096 -d "$ROOT" root.img
tune2fs -O has_journal root.img >/dev/null 2>&1
truncate -s ${DISK_MB}M disk.raw
sfdisk -q disk.raw <<E
label: dos
start=2048, size=$((BOOT_MB*2048)), type=c, bootable
start=$((2048+BOOT_MB*2048)), size=$((ROOT_MB*2048)), type=83
E
dd if="$STAGE/usr/lib/syslinux/mbr/mbr.bin" of=disk.raw bs=440 count=1 conv=notrunc status=none
dd if=boot.img of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
dd if=root.img of=disk.raw bs=1M seek=$((1+BOOT_MB)) conv=notrunc,sparse status=none
qemu-img convert -c -O qcow2 -o compat=1.1 disk.raw "$OUT"
if [ $KEEP = 1 ]; then cp vmlinuz "$OUT.vmlinuz"; cp initrd.img "$OUT.initrd"; fi
if [ $RAW = 1 ]; then cp --sparse=always disk.raw "$OUT.raw"; fi
rm -f disk.raw boot.img root.img
ls -l "$OUT" | awk '{print $5, $9}'
