// What the keys mean now: the list, or one thing on top of it.
import type {DownloadId} from '../downstream.ts';
import type {Field} from './text-field.tsx';

export type Mode =
	| {readonly kind: 'list'}
	| {readonly kind: 'details'}
	/** Lines of the help that were scrolled away. */
	| {readonly kind: 'help'; readonly top: number}
	/** URLs and path as unbroken text. */
	| {readonly kind: 'plain-text'; readonly id: DownloadId}
	| {readonly kind: 'remove'; readonly id: DownloadId; readonly focus: number}
	| {readonly kind: 'quit'; readonly focus: number}
	| {readonly kind: 'add'; readonly field: Field; readonly problem?: string}
	| {
			readonly kind: 'export';
			readonly id: DownloadId;
			readonly field: Field;
			/** The focused button of the question what becomes of the file that is there. */
			readonly clash?: number;
			readonly problem?: string;
	  };

export const list: Mode = {kind: 'list'};

export type ModeOf<Kind extends Mode['kind']> = Extract<Mode, {kind: Kind}>;
