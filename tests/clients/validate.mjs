// Reads a list of AsyncAPI documents on standard input and prints what AsyncAPI's own parser finds
// in each: one JSON object a line.
import { AvroSchemaParser } from '@asyncapi/avro-schema-parser'
import { Parser } from '@asyncapi/parser'

const parser = new Parser()
parser.registerSchemaParser(AvroSchemaParser())
const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
for (const given of JSON.parse(Buffer.concat(chunks))) {
  const { document, diagnostics } = await parser.parse(JSON.stringify(given))
  console.log(JSON.stringify({
    diagnostics: diagnostics.map(({ code, message, severity }) => ({ code, message, severity })),
    channels: document?.channels().all().length,
    messages: document?.messages().all().length,
  }))
}
