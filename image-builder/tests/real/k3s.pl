#!/usr/bin/perl
# Stands in for K3s in tests: reads its configuration, takes a while, and tells
# systemd that it is ready (sd_notify(3)), as a unit of Type=notify does.
use strict;
use Socket;

$ARGV[0] eq 'server' or die "not a server\n";
open(my $join, '<', '/etc/rancher/k3s/config.yaml.d/10-join.yaml') or die "whom to join: $!\n";
print STDERR "stand-in: ", <$join>;
sleep 4;
my $path = $ENV{NOTIFY_SOCKET};
$path =~ s/^@/\0/;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
send($socket, 'READY=1', 0, sockaddr_un($path)) or die "send: $!\n";
sleep 1 while 1;
