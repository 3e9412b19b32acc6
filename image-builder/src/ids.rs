//! Every id on a node's disk, derived from cluster id and node name: two nodes
//! never share one, and the same node gets the same ones again.

use uuid::Uuid;

/// The ids of one node's disk and system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeIds {
    /// GPT disk GUID.
    pub disk: Uuid,
    /// Partition GUID (PARTUUID) of `bootfs`.
    pub boot: Uuid,
    /// Partition GUID of `rootfs`.
    pub root: Uuid,
    /// Partition GUID of `data`.
    pub data: Uuid,
    /// ext4 UUID of `rootfs`, used where changing it is cheap.
    pub root_fs: Uuid,
    /// ext4 UUID of `data`, which the node formats.
    pub data_fs: Uuid,
    /// FAT volume serial of `bootfs`, never 0.
    pub boot_serial: u32,
    /// machine-id(5), as the 128 bits of its 32 hex digits.
    pub machine: Uuid,
    /// NetworkManager's id of the wired connection.
    pub connection: Uuid,
    /// The end of the node's iSCSI initiator name.
    pub initiator: Uuid,
}

impl NodeIds {
    /// Name-based ids (UUID version 5, RFC 9562 section 5.5) in the name space
    /// of the cluster's id. The names are part of the disk format: changing one
    /// gives every node a new disk.
    pub fn derive(cluster: Uuid, node: &str) -> Self {
        let id =
            |what: &str| Uuid::new_v5(&cluster, format!("imgbuild/1/{node}/{what}").as_bytes());
        let [a, b, c, d, ..] = id("boot-serial").into_bytes();
        Self {
            disk: id("disk"),
            boot: id("boot"),
            root: id("root"),
            data: id("data"),
            root_fs: id("root-fs"),
            data_fs: id("data-fs"),
            boot_serial: u32::from_be_bytes([a, b, c, d]).max(1),
            machine: id("machine"),
            connection: id("connection"),
            initiator: id("iscsi-initiator"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Uuid = Uuid::from_u128(0x0d5f_6a52_6a3e_4f39_9a2c_0f2d_3b7c_1e11);

    #[test]
    fn ids_are_stable() {
        // Written on the disks of running nodes: these values may never change.
        let ids = NodeIds::derive(CLUSTER, "pi-1");
        assert_eq!(ids.disk.to_string(), "470658a4-b125-5389-8bcd-792c72970a07");
        assert_eq!(ids.root.to_string(), "c20bb38f-993f-5682-a4ae-952af633db9b");
    }

    #[test]
    fn nodes_and_uses_differ() {
        let one = NodeIds::derive(CLUSTER, "pi-1");
        let two = NodeIds::derive(CLUSTER, "pi-2");
        let all = [
            one.disk,
            one.boot,
            one.root,
            one.data,
            one.root_fs,
            one.data_fs,
            one.machine,
            one.connection,
            one.initiator,
            two.disk,
            two.boot,
            two.root,
            two.data,
            two.root_fs,
            two.data_fs,
            two.machine,
            two.connection,
            two.initiator,
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_ne!(one.boot_serial, two.boot_serial);
    }
}
