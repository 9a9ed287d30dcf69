"""The verifiable trail: Merkle trees and the statements that are their leaves."""
