// The exports of the package: the engine and its proxy, without a screen.
export {DownStream} from './library.ts';
export type {
	CacheOptions,
	DownloadProgress,
	DownStreamOptions,
	FileStats,
	PlayersState,
	ProxyConfig,
	SafeOptions,
	TargetOptions,
	WaitOptions,
} from './library/types.ts';
export {
	DownStreamError,
	type Download,
	type DownloadError,
	type DownloadFilm,
	type DownloadStatus,
	type ErrorCode,
	type ErrorKind,
	type FilmProblem,
	type OpenSegment,
	type Playback,
	type Player,
	type Pledge,
	type Position,
	type Remedy,
	type SegmentUse,
} from './downstream.ts';
export {
	CustomHeaderDataSource,
	HttpDataSource,
	type CustomHeaderDataSourceOptions,
	type HttpDataSourceOptions,
} from './engine/origin/http-source.ts';
export type {DataSource, FileInfo, OriginResponse, OriginRequest} from './engine/origin/data-source.ts';
export type {Validator} from './engine/store/record.ts';
export type {HttpTimeouts, TlsOptions} from './engine/http/client.ts';
export type {Range} from './engine/store/range-set.ts';
export {Logger, type LogLevel} from './log.ts';
