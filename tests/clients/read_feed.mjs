// Reads a feed as an agency's own Node program would: kafkajs, the Confluent registry client, avsc.
// Prints one JSON object a record, bytes in base64, and ends after `count` records.
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { Kafka, logLevel } from 'kafkajs'

const { bootstrap, user, password, group, topic, registry, count } = JSON.parse(process.env.FEED)

const schemas = new SchemaRegistry({ host: registry })
const kafka = new Kafka({
  brokers: bootstrap.split(','),
  sasl: { mechanism: 'scram-sha-512', username: user, password },
  logLevel: logLevel.NOTHING,
})
const consumer = kafka.consumer({ groupId: group, readUncommitted: false })

const bytes = (_, value) =>
  value?.type === 'Buffer' ? { base64: Buffer.from(value.data).toString('base64') } : value

await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
let left = count
const done = new Promise((resolve, reject) => {
  consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
  consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => {
      if (left === 0) return
      const value = message.value === null ? null : await schemas.decode(message.value)
      const headers = Object.entries(message.headers).map(([name, data]) => [name, data])
      const key = message.key.toString()
      console.log(JSON.stringify({ key, timestamp: Number(message.timestamp), headers, value }, bytes))
      if (--left === 0) resolve()
    },
  })
})
await done
await consumer.disconnect()
