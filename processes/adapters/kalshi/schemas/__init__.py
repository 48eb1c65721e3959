"""The exchange's messages: decoded as typed structs, and those as integers (`normalise`)."""
