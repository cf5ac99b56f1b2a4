/** The types that every entry point exports. */
export type { DiagnoseOptions } from "./diagnosis/diagnose.ts";
export type { Check, Finding, Verdict, VerdictCode } from "./diagnosis/finding.ts";
export type { NetworkOptions } from "./network-access.ts";
export type { ListedInvite, NetworkRoster } from "./networks.ts";
export type { PeerOptions } from "./options.ts";
export type { EdgeState, Unanswered } from "./peer.ts";
export type { PeerStatus, SessionStatus, ShareStatus } from "./status.ts";
export type { ConnectOptions } from "../overlay/connector.ts";
export type { PathAttempt } from "../overlay/path-attempt.ts";
export type { PortMappingFailure, PortMappingState } from "../overlay/port-mapping.ts";
export type {
  Computation,
  ComputeService,
  Download,
  FeedsService,
  FilesService,
  Networks,
  PortsService,
  RecordsService,
  Topic,
  TopicsService,
} from "./parts.ts";
export type {
  DownloadOptions,
  DownloadProgress,
  DownloadResult,
  SaveOptions,
} from "../services/files/download.ts";
export type { Giver } from "../services/files/transfer.ts";
export type { FeedEntry, FeedLink, FeedValue } from "../services/feeds/entry.ts";
export type { Feed } from "../services/feeds/feed.ts";
export type { FeedHead, FeedReorganisation, FeedStatus, FeedStop } from "../services/feeds/view.ts";
export type { FeedOptions, ReducedFeedOptions } from "../services/feeds/feeds.ts";
export type { Reducer } from "../services/feeds/fold.ts";
export type { FeedFork } from "../services/feeds/fork.ts";
export type { Validator } from "../services/feeds/history.ts";
export type { FeedHeader, ForkChoice } from "../services/feeds/order.ts";
export type { FolderFile } from "../services/files/content.ts";
export type { SavedEntry } from "../services/files/saved-files.ts";
export type { Share, ShareOptions } from "../services/files/files.ts";
export type { TransferLimits } from "../services/files/limits.ts";
export type { ByteRange, SelectOptions } from "../services/files/selection.ts";
export type { ComputeProgress, TaskResult } from "../services/compute/computation.ts";
export type { TaskInput, TaskInputs } from "../services/compute/input-reader.ts";
export type { MapOptions } from "../services/compute/compute.ts";
export type { WorkOffer, WorkOptions } from "../services/compute/work-offer.ts";
export type {
  FoundRecord,
  GetOptions,
  PutOptions,
  SetOptions,
  StoredRecord,
} from "../services/records/records.ts";
export type { InviteOptions, MadeInvite } from "../services/membership/issue.ts";
export type { AnyMembership as Membership, BanReceipt } from "../services/membership/open-membership.ts";
export type { PortConnection } from "../services/ports/connection.ts";
export type { Exposure } from "../services/ports/exposure.ts";
export type { Forward } from "../services/ports/forward.ts";
export type { ExposeOptions, ForwardPortOptions } from "../services/ports/ports.ts";
export type { CallContext } from "../services/rpc/context.ts";
export type { Remote, RemoteItems } from "../services/rpc/remote.ts";
export type { RpcOptions, ServeOptions } from "../services/rpc/rpc.ts";
export type { SearchHit, SearchOptions, SearchVia, SearchWay } from "../services/search/search.ts";
export type {
  AskOptions,
  TopicMessage,
  TopicOptions,
  TopicReply,
  TopicStatus,
  TopicValue,
  TopicVerdict,
} from "../services/topics/topic-options.ts";
export type { RecordValue } from "../services/records/value.ts";
export type {
  BytesByPath,
  OpenOptions,
  PathInfo,
  Session,
  Stream,
  StreamHandler,
  StreamPriority,
} from "../session/contract.ts";
export type { KeyValueStorage, StoredValue } from "../runtime.ts";
export type { Ability } from "../../shared/credential.ts";
export type { ErrorCode } from "../../shared/errors.ts";
export type { PeerId } from "../../shared/ids.ts";
