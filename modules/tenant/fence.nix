# The fence: with the mode `fenced`, nothing that any process sends leaves the machine, but what Berth and the machine itself
# need. A copy of a server of the Fediverse would otherwise deliver its queue, and its mails, a second time: docs/src/drills.md.
#
# The kernel's packet filter does it, for the whole machine, so that it holds for every process of every account, containers
# among them. It keeps no state: whatever was open before is cut off as well.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.berth) machine internal platform;
  nft = if platform == "rehearsal" then "/usr/sbin/nft" else "${pkgs.nftables}/bin/nft";
  rules = "/etc/berth/fence.nft";
  text = ''
    table inet berth_fence
    delete table inet berth_fence
    table inet berth_fence {
      chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        # Answers of the SSH server. Nobody opens a connection from its port.
        tcp sport { ${ports} } tcp flags & (syn | ack) != syn accept
        # So that the machine keeps its addresses.
        udp sport 68 udp dport 67 accept
        udp sport 546 udp dport 547 accept
        icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
        # Whoever tries learns so at once.
        meta l4proto tcp reject with tcp reset
        reject with icmpx admin-prohibited
      }
      chain forward {
        type filter hook forward priority filter; policy drop;
      }
    }
  '';
  # Where Berth comes in, and where the server listens, which may be another port behind a router; the rehearsal platform does
  # not know the latter.
  listening = lib.optionals (config.services.openssh.ports != null) config.services.openssh.ports;
  ports = lib.concatMapStringsSep ", " toString (lib.unique ([ machine.ssh.port ] ++ listening));
  inside = {
    requires = [ "berth-fence.service" ];
    after = [ "berth-fence.service" ];
  };
in
{
  config = lib.mkIf internal.fenced {
    environment.etc."berth/fence.nft".text = text;
    systemd.services = {
      berth-fence = {
        description = "Lets nothing leave this machine";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-pre.target" ];
        before = [ "network-pre.target" ];
        restartTriggers = [ text ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${nft} -f ${rules}";
          ExecStop = "${nft} delete table inet berth_fence";
        };
      };
      nginx = inside;
    };
  };
}
