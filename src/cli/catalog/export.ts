// `latchkey catalog export <format>`: the catalog as a document, for other programs and for a repository.
import { writeFile } from 'node:fs/promises'
import { Argument, Command } from 'commander'
import { Failure } from '../failure.ts'
import { remote } from '../remote.ts'

const paths = {
  openapi: '/api/programmatic/openapi.json',
  arazzo: '/api/programmatic/arazzo.json',
  llms: '/llms.txt',
  catalog: '/api/programmatic/catalog',
} as const

export const exportCommand = () =>
  remote<{ readonly output?: string }>(
    new Command('export')
      .description('Print the catalog as a document, or write it to a file')
      .addArgument(
        new Argument('<format>', 'OpenAPI 3.1, Arazzo 1.0, llms.txt, or the catalog').choices(
          Object.keys(paths),
        ),
      )
      .option('--output <file>', 'where to write it, instead of stdout'),
    async ({ client, output }, { output: file }, format) => {
      const { body } = await client.call<unknown>('GET', paths[format as keyof typeof paths])
      const text = typeof body === 'string' ? body.trimEnd() : JSON.stringify(body, null, 2)
      if (file !== undefined) await write(file, `${text}\n`)
      const shown = file ?? text
      output.show({
        json: { format, output: file ?? null, document: file === undefined ? body : null },
        quiet: [shown],
        people: () => (file === undefined ? text : `Written to ${file}`),
      })
    },
    { signIn: 'optional' },
  )

async function write(file: string, content: string): Promise<void> {
  await writeFile(file, content).catch((error: NodeJS.ErrnoException) => {
    const message = `${file} cannot be written (${error.code}).`
    throw new Failure('failed', 'not-written', message, 'Name another file, or leave out --output.')
  })
}
