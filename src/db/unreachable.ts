// Why PostgreSQL cannot be had at a start, in one sentence that names the setting and one that says what to do. The URL
// is not told, as a password is in it; what the system and the server say has host, port, user and database.

/** Of Node, of PostgreSQL (SQLSTATE). */
const remedies: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Start PostgreSQL there, or correct the host and the port.',
  ENOTFOUND: 'Correct the host, or have DNS know it.',
  EAI_AGAIN: 'Correct the host, or see that DNS answers.',
  '28P01':
    'Correct the user and the password (in a URL, what is not a letter or a digit is percent-encoded).',
  '28000': 'Correct the user, or let it in from here in pg_hba.conf.',
  '3D000': 'Correct the name of the database, or create it.',
  '53300': 'End some of them, or raise max_connections.',
  '57P03': 'Try again when PostgreSQL has started.',
}
const otherwise = 'Correct it, or see that PostgreSQL runs there and can be reached from here.'

export function unreachable(error: unknown): Error {
  const { code = '' } = error as { code?: string }
  return new Error(
    `DATABASE_URL cannot be connected to: ${reasonOf(error)}. ${remedies[code] ?? otherwise}`,
    {
      cause: error,
    },
  )
}

/** A host with two addresses fails with an error that says nothing itself. */
function reasonOf(error: unknown): string {
  const { message, errors = [] } = error as { message: string; errors?: readonly Error[] }
  return message || errors.map((one) => one.message).join(', ')
}
