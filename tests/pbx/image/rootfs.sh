#!/bin/sh
# Run by mmdebstrap on the finished root directory $1 of the images: takes out what neither
# PostgreSQL as it is configured here nor the PBX stand-in uses.
set -eu
root=$1
lib=$root/usr/lib/x86_64-linux-gnu

# Debian's wrappers choose among several PostgreSQL clusters, in Perl; here is one.
find "$root/usr/bin" -lname '*pg_wrapper' -delete
rm -rf "$root"/usr/share/perl "$root"/usr/share/perl5 "$lib"/perl "$lib"/libperl.so*
rm -rf "$root"/usr/lib/python3* "$root"/usr/share/python3 "$root"/usr/bin/python3* "$lib"/libpython3*
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/* "$root"/var/log/*
rm -rf "$root"/usr/share/lintian "$root"/usr/share/bash-completion "$root"/usr/share/info
rm -f "$root"/usr/sbin/policy-rc.d "$root"/etc/machine-id "$root"/etc/resolv.conf "$root"/etc/hostname
