#!/bin/sh
# mmdebstrap customize hook: `customize.sh ROOT` finishes the machine image in ROOT. The directory of this script holds
# rootfs/ (copied over ROOT) and, when the host trusts authorities of its own, ca/.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")

cp -r --no-preserve=ownership "$here/rootfs/." "$root/"
(cd "$here/rootfs" && find . -type f) | while read -r file; do
    case $file in
        ./usr/local/sbin/*) chmod 0755 "$root/$file" ;;
        ./etc/sudoers.d/*) chmod 0440 "$root/$file" ;;
        *) chmod 0644 "$root/$file" ;;
    esac
done

# NFS of the kernel where the host has it, see the helper.
mkdir -p "$root/usr/lib/lab"
mv "$root/usr/sbin/mount.nfs4" "$root/usr/lib/lab/mount.nfs4"
ln -s /usr/local/sbin/lab-mount-nfs4 "$root/usr/sbin/mount.nfs4"

chroot "$root" useradd --uid 1000 --user-group --create-home --shell /bin/bash --groups adm,sudo admin
chroot "$root" systemctl -q set-default multi-user.target
chroot "$root" systemctl -q enable lab-cloud-init.service ssh.service docker.service docker.socket
# What a container never needs costs time at every boot; sysctl would set the kernel of the host.
chroot "$root" systemctl -q mask \
    cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service cloud-init-hotplugd.socket \
    console-getty.service getty.target getty@tty1.service getty-static.service systemd-firstboot.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service xfs_scrub_all.timer \
    systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service networking.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-remount-fs.service \
    systemd-modules-load.service systemd-sysusers.service systemd-sysctl.service proc-sys-fs-binfmt_misc.automount \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service \
    rpcbind.service rpcbind.socket nfs-client.target rpc-statd-notify.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
mkdir -p "$root/etc/systemd/system-generators"
ln -sf /dev/null "$root/etc/systemd/system-generators/cloud-init-generator"

# No DMI in a container: cloud-init would not believe that this is AWS and would not speak IMDSv2.
ec2="$root/usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
sed -i 's/^def identify_platform():$/&\n    return CloudNames.AWS/' "$ec2"
grep -q 'return CloudNames.AWS$' "$ec2"
# It would wait a minute for an answer to DHCP.
rm -f "$root/usr/sbin/dhclient" "$root/sbin/dhclient"

if [ -d "$here/ca" ]; then
    cp --no-preserve=ownership "$here"/ca/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
fi

# Each machine makes its own identity at its first boot; docker's data is a volume and is copied from here: empty.
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
rm -rf "$root"/var/lib/docker/* "$root"/var/lib/containerd/* "$root"/var/log/apt "$root"/var/log/dpkg.log
