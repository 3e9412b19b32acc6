#!/usr/bin/perl
# Carries one connection, its standard input and output, to a port of 127.0.0.1.
use strict;
use IO::Select;
use IO::Socket::INET;

my $there = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or exit 1;
my $both  = IO::Select->new(\*STDIN, $there);
while (my @ready = $both->can_read(60)) {
    for my $from (@ready) {
        my $to = $from == $there ? \*STDOUT : $there;
        sysread($from, my $bytes, 65536) or exit 0;
        for (my $sent = 0; $sent < length $bytes;) {
            $sent += syswrite($to, $bytes, length($bytes) - $sent, $sent) || exit 0;
        }
    }
}
