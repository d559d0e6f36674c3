// Colours by role. The terminal's own foreground and background are what text uses; states are told without colour.
import type {TextProps} from 'ink';
import type {Tone} from './state-words.ts';

export const tones: Record<Tone, Pick<TextProps, 'color' | 'bold'>> = {
	plain: {},
	active: {color: 'cyan'},
	done: {color: 'green'},
	waiting: {bold: true},
	failed: {color: 'red', bold: true},
};
