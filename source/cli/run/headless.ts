// The commands without a screen. One import, because each file of the bundle costs a third of a millisecond at the start.
export {completionScript} from '../completion.ts';
export {ProgressLine} from '../output/progress-line.ts';
export {complete} from './complete.ts';
export {demo} from './demo.ts';
export {get} from './get.ts';
export {forwardUrls, runCommand} from './manage.ts';
export {playUrl} from './play.ts';
export {serve, serveUntilDone} from './serve.ts';
