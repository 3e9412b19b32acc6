#!/usr/bin/perl
# Stands in for K3s in tests, at the level of processes. As `server` or `agent` it
# reads whom to join, takes a while, leaves the kubeconfig that K3s leaves, and tells
# systemd that it is ready (sd_notify(3)), as a unit of Type=notify does. As `kubectl`
# it answers what the agent asks of its node: not Ready at first, for a node's network
# comes up after it has joined.
use strict;
use Fcntl;
use Socket;

my %kubeconfig = (
    server => '/etc/rancher/k3s/k3s.yaml',
    agent  => '/var/lib/rancher/k3s/agent/kubelet.kubeconfig',
);
my $asked = '/run/k3s-stand-in-asked';
my $what  = shift @ARGV;

if ($what eq 'kubectl') {
    my ($kubeconfig) = "@ARGV" =~ /--kubeconfig (\S+)/ or die "no kubeconfig\n";
    -r $kubeconfig or die "$kubeconfig: $!\n";
    "@ARGV" =~ / get node (\S+) / or die "not asked for a node\n";
    if (-e $asked) {
        print "True KubeletReady: kubelet is posting ready status";
    } else {
        sysopen(my $mark, $asked, O_CREAT | O_WRONLY, 0600) or die "$asked: $!\n";
        print "False KubeletNotReady: cni plugin not initialized";
    }
    exit 0;
}

my $left = $kubeconfig{$what} or die "$what is neither server nor agent\n";
open(my $join, '<', '/etc/rancher/k3s/config.yaml.d/10-join.yaml') or die "whom to join: $!\n";
print STDERR "stand-in: ", <$join>;
sleep 4;
my ($dir) = $left =~ m{(.*)/};
system('mkdir', '-p', '-m', '0700', $dir) == 0 or die "mkdir $dir\n";
sysopen(my $file, $left, O_CREAT | O_WRONLY, 0600) or die "$left: $!\n";
my $path = $ENV{NOTIFY_SOCKET};
$path =~ s/^@/\0/;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
send($socket, 'READY=1', 0, sockaddr_un($path)) or die "send: $!\n";
sleep 1 while 1;
