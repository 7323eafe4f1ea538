/** What Redpanda's releases offer at least, for the proxy that plays one. */

/** Highest versions by API number: what Redpanda serves and kafkajs was validated with. Others are not offered. */
export const redpandaMaxima: ReadonlyMap<number, number> = new Map([
  [0, 7], // Produce
  [1, 11], // Fetch
  [2, 3], // ListOffsets
  [3, 6], // Metadata
  [8, 5], // OffsetCommit
  [9, 4], // OffsetFetch
  [10, 2], // FindCoordinator
  [11, 5], // JoinGroup
  [12, 3], // Heartbeat
  [13, 2], // LeaveGroup
  [14, 3], // SyncGroup
  [15, 4], // DescribeGroups
  [16, 3], // ListGroups
  [17, 1], // SaslHandshake
  [18, 3], // ApiVersions
  [19, 4], // CreateTopics
  [20, 4], // DeleteTopics
  [21, 1], // DeleteRecords
  [22, 1], // InitProducerId
  [23, 3], // OffsetForLeaderEpoch
  [24, 1], // AddPartitionsToTxn
  [25, 1], // AddOffsetsToTxn
  [26, 1], // EndTxn
  [28, 1], // TxnOffsetCommit
  [32, 2], // DescribeConfigs
  [33, 1], // AlterConfigs
  [36, 1], // SaslAuthenticate
  [37, 1], // CreatePartitions
])
