// The message of anything thrown. Pure.

export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
