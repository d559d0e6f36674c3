// The thread of the TypeScript beside this file, for tests and tools that run the source. The bundle has the whole thread
// under this name.
import {register} from 'tsx/esm/api';

register();
await import('./film-worker.ts');
