// Why a connection failed, for a message: a code of the system's. Never its text, which may quote what was sent.

export function causeOf(error: unknown): string {
  const { name, code, cause } = error as { name?: string; code?: unknown; cause?: { code?: unknown } }
  return String(cause?.code ?? (typeof code === 'string' ? code : (name ?? 'unknown')))
}
