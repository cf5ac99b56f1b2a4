/** The types that every entry point exports. */
export type { PeerOptions } from "./options.ts";
export type { EdgeState } from "./peer.ts";
export type { PeerStatus, SessionStatus, ShareStatus } from "./status.ts";
export type { ConnectOptions } from "../overlay/connector.ts";
export type { Download, DownloadProgress, DownloadResult, SaveOptions } from "../services/files/download.ts";
export type { Share, ShareOptions } from "../services/files/files.ts";
export type {
  FoundRecord,
  GetOptions,
  PutOptions,
  SetOptions,
  StoredRecord,
} from "../services/records/records.ts";
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
export type { ErrorCode } from "../../shared/errors.ts";
export type { PeerId } from "../../shared/ids.ts";
